"""What the parts without ROS log, in the node's own log."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger

LIBRARY = logging.getLogger("silk_ros")


class NodeLog(logging.Handler):
    """Passes Python's log of the package on to a node's logger, until `close`."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__(logging.INFO)
        self._logger = logger
        LIBRARY.addHandler(self)
        LIBRARY.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # rclpy insists on one call site for each severity.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)

    def close(self) -> None:
        LIBRARY.removeHandler(self)
        super().close()
