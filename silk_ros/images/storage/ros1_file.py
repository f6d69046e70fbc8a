"""Bags of ROS 1."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path

from rosbags import rosbag1

from ..source import Lost
from .base import Channel, Storage, Stored, check_start, unreadable


class Ros1Storage(Storage):
    """A .bag file. A message is found by its index, so that damage to a chunk loses the messages of that chunk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        check_start(path, b"#ROSBAG V2.0\n", "bag (version 2.0)")
        try:
            with rosbag1.Reader(path) as reader:
                self.channels = {
                    connection.id: Channel(connection.id, connection.topic, connection.msgtype, "ros1")
                    for connection in reader.connections
                }
                self.start = reader.start_time
        except OSError:
            raise
        except Exception as error:  # of the library, and its assertions
            raise unreadable(
                path, error or "its index is damaged", f"mend it with rosbag reindex {path.name}"
            ) from error

    def messages(self, keys: Collection[int]) -> Iterator[Stored]:
        with rosbag1.Reader(self.path) as reader:
            connections = {connection.id: connection for connection in reader.connections}
            indexes = reader.indexes
            for entry, key in heapq.merge(*([(entry, key) for entry in indexes[key]] for key in keys)):
                reader.indexes = {key: [entry]}
                data: bytes | Lost
                try:
                    _, _, data = next(reader.messages([connections[key]]))
                except Exception:  # whatever damaged bytes lead to
                    reader.current_chunk = (-1, BytesIO())
                    place = f"chunk at byte {entry.chunk_pos} of {self.path.name}"
                    data = Lost(place, "the chunk is damaged: copy the bag again from where it was recorded")
                yield Stored(entry.time, self.channels[key], data)
