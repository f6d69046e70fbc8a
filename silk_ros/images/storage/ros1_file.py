"""Bags of ROS 1."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from rosbags import rosbag1
from rosbags.rosbag1.reader import Chunk, ChunkInfo, IndexData

from ..source import Lost
from .base import Channel, Storage, Stored, unreadable

NOWHERE = -1  # the place in its chunk of a message that cannot be found


class Ros1Storage(Storage):
    """A .bag file. A message is found by its index, so that damage to a chunk loses the messages of that chunk."""

    def __init__(self, path: Path, origin: Path) -> None:
        super().__init__(path, origin)
        self.check_start(b"#ROSBAG V2.0\n", "bag (version 2.0)")
        try:
            with _Reader(path) as reader:
                self.channels = {
                    connection.id: Channel(connection.id, connection.topic, connection.msgtype, "ros1")
                    for connection in reader.connections
                }
                self.start = reader.start_time
        except OSError:
            raise
        except Exception as error:  # of the library, and its assertions
            reason = str(error) or "its index is damaged"
            raise unreadable(origin, reason, self.mend("rosbag reindex --output-dir ~ {}")) from error

    def messages(self, keys: Collection[int]) -> Iterator[Stored]:
        with _Reader(self.path) as reader:
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


class _Reader(rosbag1.Reader):
    """A reader that opens bags with damage between their first chunk and their index.

    Of a chunk whose header or message indexes are damaged, the messages that the index of the bag counts are listed
    with the start of the chunk as their time, and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._counts: dict[int, dict[int, int]] = {}  # messages of the connections, by the place of the chunk
        self._found: set[tuple[int, int]] = set()  # chunk and connection

    def open(self) -> None:
        super().open()
        for chunk in self.chunk_infos:
            for key, count in chunk.connection_counts.items():
                if (chunk.pos, key) not in self._found and key in self.indexes:
                    self.indexes[key] += [IndexData(chunk.start_time, chunk.pos, NOWHERE)] * count
        for entries in self.indexes.values():
            entries.sort()

    def read_chunk_info(self) -> ChunkInfo:
        info = super().read_chunk_info()
        self._counts[info.pos] = info.connection_counts
        return info

    def read_chunk(self) -> Chunk:
        try:
            return super().read_chunk()
        except Exception:  # whatever damaged bytes lead to
            return Chunk(0, 0, bytes)

    def read_index_data(self, pos: int, indexes: dict[int, list[IndexData]]) -> None:
        found: dict[int, list[IndexData]] = defaultdict(list)
        offsets = self.index_data_header_offsets
        with suppress(Exception):
            super().read_index_data(pos, found)
        for key, entries in found.items():
            if len(entries) == self._counts[pos].get(key):
                indexes[key] += entries
                self._found.add((pos, key))
                return
        self.index_data_header_offsets = offsets  # those of a damaged record are wrong
