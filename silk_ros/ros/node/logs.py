"""The two logs of a node: problems that repeat with every frame, and what the parts without ROS log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from rclpy.impl.rcutils_logger import RcutilsLogger

REPEAT_AFTER = 30.0  # seconds until the same message of a kind is logged again
AT_MOST_EVERY = 1.0  # seconds between two messages of a kind that differ
LIBRARY = logging.getLogger("silk_ros")


class ChangeLog:
    """Logs a problem when it differs from the last of its kind, or when that was logged a while ago. Thread-safe."""

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._last: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def report(self, kind: str, message: str) -> None:
        """Log a message, unless one of this kind was logged a moment ago."""
        now = time.monotonic()
        with self._lock:
            last_message, last_time = self._last.get(kind, ("", -float("inf")))
            if now - last_time < (REPEAT_AFTER if message == last_message else AT_MOST_EVERY):
                return
            self._last[kind] = (message, now)
        self._log(message)


class NodeLog(logging.Handler):
    """Sends what the package logs with Python's `logging` to a node's logger, until `close`."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__(logging.INFO)
        self._logger = logger
        LIBRARY.addHandler(self)
        LIBRARY.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # rclpy allows one severity for each line that logs.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)

    def close(self) -> None:
        LIBRARY.removeHandler(self)
        super().close()
