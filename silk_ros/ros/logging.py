"""Log lines that repeat with every frame, reduced to what a person can read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

REPEAT_AFTER = 10.0  # seconds


class ChangeLog:
    """Logs a message of a kind when it differs from the last of that kind, or when that was some time ago."""

    def __init__(self, log: Callable[[str], object], repeat_after: float = REPEAT_AFTER) -> None:
        self._log = log
        self._repeat_after = repeat_after
        self._last: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def report(self, kind: str, message: str) -> None:
        now = time.monotonic()
        with self._lock:
            last_message, last_time = self._last.get(kind, ("", -float("inf")))
            if message == last_message and now - last_time < self._repeat_after:
                return
            self._last[kind] = (message, now)
        self._log(message)
