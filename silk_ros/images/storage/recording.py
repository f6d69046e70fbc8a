"""A recording as a whole: the messages of all its files in order of time."""

from __future__ import annotations

import weakref
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import zstandard
from rosbags.typesys import Stores, get_typestore

from ..source import Lost
from .base import Channel, Part, Stored, merge_by_time
from .files import data_files, open_storages

ZSTANDARD_MAGIC = b"\x28\xb5\x2f\xfd"


class Recorded(NamedTuple):
    """A message of a recording, or what is lost of it. time: of reception, in nanoseconds.

    topic, type, place: empty for what is lost where the damage hides them.
    """

    time: int
    topic: str
    type: str
    place: str
    message: Any


class Recording:
    """The messages of a recording: of one file, or of the files of a folder.

    topics: their channels, by their names. about: the files, where they may not belong together; else empty.

    Raises ValueError or OSError, naming the fix, if nothing can be read. What is known to be missing is logged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        temporary = TemporaryDirectory(prefix="silk_ros_")
        weakref.finalize(self, temporary.cleanup)
        files, self.about = data_files(path)
        self._storages = open_storages(path, files, temporary)
        self.topics: dict[str, list[Channel]] = defaultdict(list)
        for storage in self._storages:
            for channel in storage.channels.values():
                self.topics[channel.topic].append(channel)

    def read(self, topics: Collection[str]) -> Iterator[Recorded]:
        """The messages of the readable channels of some topics in order of time. What cannot be read is a `Lost`."""
        numbers: Counter[str] = Counter()
        parts = []
        for storage in self._storages:
            keys = [key for key, channel in storage.channels.items() if channel.topic in topics and channel.is_readable]
            parts.append(Part(storage.start, partial(storage.messages, keys)))
        for stored in merge_by_time(parts):
            if stored.channel is None:
                yield Recorded(stored.time, "", "", "", stored.data)
                continue
            topic = stored.channel.topic
            numbers[topic] += 1
            place = f"message {numbers[topic]} of {topic}"
            yield Recorded(stored.time, topic, stored.channel.type, place, _message(stored, place))


def _message(stored: Stored, place: str) -> Any:
    data, channel = stored.data, stored.channel
    if isinstance(data, Lost) or channel is None:
        return data
    try:
        if channel.encoding == "ros1":
            return _types(Stores.ROS1_NOETIC).deserialize_ros1(data, channel.type)
        if data.startswith(ZSTANDARD_MAGIC):  # rosbag2's compression of messages
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        return _types(Stores.ROS2_JAZZY).deserialize_cdr(data, channel.type)
    except Exception:  # whatever damaged bytes lead to
        return Lost(place, "the data of the message are damaged: check the disk and the program that recorded them")


@cache
def _types(store: Stores) -> Any:
    return get_typestore(store)
