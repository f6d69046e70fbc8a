"""Writer of rosbag2 recordings, for machines without `ros2 bag`."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.serialization import serialize_message

from ...paths import check_new


class Recorder:
    """Writer of a new rosbag2 folder in MCAP format.

    Raises FileExistsError, or ImportError without the rosbags library.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            raise ImportError("recording needs the rosbags library: pip install rosbags") from error
        check_new(folder)
        self._folder = folder
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._connections: dict[str, Any] = {}
        self._counts: Counter[tuple[str, str]] = Counter()  # of messages, by their type and topic
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()

    def write(self, topic: str, message: Any, nanoseconds: int) -> None:
        """Add a message of a topic (its resolved name); nanoseconds since 1970. Raises OSError."""
        if topic not in self._connections:
            kind = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._types)
        with self._errors_named():
            self._writer.write(self._connections[topic], nanoseconds, serialize_message(message))
        self._counts[type(message).__name__, topic] += 1

    @property
    def summary(self) -> str:
        """What was written, and where."""
        counts = ", ".join(f"{count} {kind} on {topic}" for (kind, topic), count in sorted(self._counts.items()))
        return f"{counts or 'no messages'} in '{self._folder}'"

    def close(self) -> None:
        """Finish the files. Raises OSError."""
        with self._errors_named():
            self._writer.close()

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = f"the recording '{self._folder}' is not complete ({error.strerror})"
            raise OSError(f"{problem}: make room on the disk") from error
