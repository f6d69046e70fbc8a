"""The two logs of a node: problems that repeat with every frame, and what the parts without ROS log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.logging import LoggingSeverity

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
    """Sends what the package logs with Python's `logging` to a node's logger, until `close`.

    What is for debugging is sent where the node's logger takes it: with `--log-level debug`.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__(logging.DEBUG if logger.is_enabled_for(LoggingSeverity.DEBUG) else logging.INFO)
        self._logger = logger
        LIBRARY.addHandler(self)
        LIBRARY.setLevel(self.level)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # rclpy allows one severity for each line that logs.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)

    def close(self) -> None:
        LIBRARY.removeHandler(self)
        super().close()
