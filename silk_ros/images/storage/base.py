"""What every file format of recordings gives: channels, and messages in order of time, lost ones included."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from ..source import Lost

IMAGE, COMPRESSED, INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))
ENCODINGS = ("cdr", "ros1")
TYPES = {IMAGE, COMPRESSED, INFO}  # of the messages that are read


@dataclass(frozen=True)
class Channel:
    """A topic as one publisher has it in one file.

    key: of the channel in its file. type: such as sensor_msgs/msg/Image, also of ROS 1.
    encoding: of the messages.
    """

    key: int
    topic: str
    type: str
    encoding: str

    @property
    def is_readable(self) -> bool:
        """Whether the messages are of TYPES, and encoded as those of ROS."""
        return self.type in TYPES and self.encoding in ENCODINGS


class Stored(NamedTuple):
    """A message of a file, or what is lost of it. time: of reception, in nanoseconds.

    channel: None for what is lost where the damage hides it.
    """

    time: int
    channel: Channel | None
    data: bytes | Lost


class Storage(ABC):
    """One file of a recording, which is opened anew for each reading.

    path: of the file, decompressed. origin: of the file that the user has, which errors and remedies name.
    channels: by their keys. start: time of its first message in nanoseconds, or an earlier one.

    Raises ValueError, naming the fix, for a file that cannot be read, and OSError. What is known to be missing is
    logged.
    """

    channels: dict[int, Channel]
    start: int = 0

    def __init__(self, path: Path, origin: Path) -> None:
        self.path, self.origin = path, origin

    def mend(self, command: str) -> str:
        """A remedy: a shell command with {} for the file, which is decompressed first if it is not plain.

        It is to write into the home folder: a mended file beside the damaged one would be read with it.
        """
        if self.path == self.origin:
            return f"mend it with: {command.format(quote(str(self.origin)))}"
        unpacked = f"~/{quote(self.path.name)}"
        return f"mend it with: zstd -dc {quote(str(self.origin))} > {unpacked}; {command.format(unpacked)}"

    def check_start(self, start: bytes, format_name: str) -> None:
        """Raise ValueError, naming the fix, for a file that does not start as those of its format do."""
        with self.path.open("rb") as file:
            found = file.read(len(start))
        if found != start:
            reason = f"it is no {format_name} file" if found else "it is empty"
            raise unreadable(self.origin, reason, "record again, or give a rosbag2 folder, an .mcap, .db3 or .bag file")

    @abstractmethod
    def messages(self, keys: Collection[int]) -> Iterator[Stored]:
        """The messages of some readable channels in order of time, and all losses that may be theirs."""


class Part(NamedTuple):
    """Messages in order of time, none of them before `start`, that are read when their time has come.

    first: gives the time of the first message, or an earlier one; costs more than `start`, but less than `read`.
    """

    start: int
    read: Callable[[], Iterator[Stored]]
    first: Callable[[], int] | None = None


def merge_by_time(parts: Iterable[Part]) -> Iterator[Stored]:
    """The messages of several parts in order of time."""
    waiting = [(part.start, number, part) for number, part in enumerate(parts)]
    heapq.heapify(waiting)
    heap: list[tuple[int, int, Stored, Iterator[Stored]]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[0][0] <= heap[0][0]):
            start, number, part = heapq.heappop(waiting)
            if part.first is not None and (later := part.first()) > start:
                heapq.heappush(waiting, (later, number, part))
                continue
            messages = part.read()
            if (first := next(messages, None)) is not None:
                heapq.heappush(heap, (first.time, number, first, messages))
        if heap:
            _, order, message, messages = heap[0]
            yield message
            if (following := next(messages, None)) is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following.time, order, following, messages))


def unreadable(path: Path, reason: object, remedy: str) -> ValueError:
    """The error of a recording of which nothing can be read."""
    return ValueError(f"cannot read the recording '{path}' ({reason}): {remedy}")


def ros2_type(name: str) -> str:
    """The name of a message type as ROS 2 writes it."""
    package, _, message = name.partition("/")
    return name if not message or "/" in message else f"{package}/msg/{message}"
