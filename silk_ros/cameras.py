"""Streams that should be of one camera: watched, and kept apart by camera where they are not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from .extractor import Extractor
from .frontend import FrontEnd, FrontEndOptions
from .tracker import TrackIds

CAMERAS = 4  # of a stream, that are kept apart
WINDOW = 10.0  # seconds over which a stream is watched
SEVERAL = 3  # changes within WINDOW; a driver that is started again makes one

T = TypeVar("T")


class PerCamera(Generic[T]):
    """One object for each of the last CAMERAS cameras of a stream, made when it is first asked for.

    A camera is known by the frame_id of its images, a stereo pair by those of both.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._objects: dict[tuple[str, ...], T] = {}  # the one that was used last comes last

    def of(self, *frame_ids: str) -> T:
        """The object of a camera. That of the camera which was not asked for the longest makes room for a new one."""
        found = self._objects.pop(frame_ids) if frame_ids in self._objects else self._make()
        self._objects[frame_ids] = found
        if len(self._objects) > CAMERAS:
            del self._objects[next(iter(self._objects))]
        return found

    def clear(self) -> None:
        """Forget all cameras."""
        self._objects.clear()

    def __iter__(self) -> Iterator[T]:
        return iter(self._objects.values())


class CameraFrontEnds:
    """Front-ends for the images of a stream, one for each camera. They share an extractor, and no two share a track id.

    Images are thus matched with the previous image of their own camera.
    """

    def __init__(self, extractor: Extractor, options: FrontEndOptions | None = None) -> None:
        self._extractor, self._options, self._ids = extractor, options, TrackIds()
        self._front_ends = PerCamera(lambda: FrontEnd(self._extractor, self._options, self._ids))

    def of(self, *frame_ids: str) -> FrontEnd:
        """The front-end for images of a frame_id, or for stereo pairs of two."""
        return self._front_ends.of(*frame_ids)

    def change(self, options: FrontEndOptions, extractor: Extractor | None = None) -> None:
        """Go on with other options, as `FrontEnd.change` says."""
        self._extractor, self._options = extractor or self._extractor, options
        for front_end in self._front_ends:
            front_end.change(options, extractor)

    def reset(self) -> None:
        """Let the next image of each camera start new tracks."""
        self._front_ends.clear()


class StreamWatch:
    """Tells whether the images of a stream come from one camera.

    Cameras that share a stream change its frame_id, or the order of its stamps or numbers, again and again. Times are
    in seconds of any one clock.
    """

    def __init__(self) -> None:
        self.last = -float("inf")  # time of the last image
        self._seen: dict[str, float] = {}  # time of the last image of each frame_id
        self._frame_id: str | None = None
        self._stamp = self._number = -1
        self._changes: deque[float] = deque(maxlen=SEVERAL)  # times
        self._backwards: deque[float] = deque(maxlen=SEVERAL)

    def take(self, now: float, frame_id: str, stamp: int, number: int | None = None) -> bool:
        """Take in an image. Returns whether it is of another camera than the one before.

        stamp: nanoseconds. number: the count of its publisher, which is different for each; None where it is unknown.
        """
        changed = self._frame_id not in (None, frame_id)
        if changed:
            self._changes.append(now)
        elif stamp < self._stamp or (number is not None and number <= self._number):
            self._backwards.append(now)
        self._frame_id, self._stamp, self._number = frame_id, stamp, -1 if number is None else number
        self._seen[frame_id] = self.last = now
        return changed

    def frame_ids(self, now: float) -> list[str]:
        """The frame_ids of the last WINDOW seconds, sorted."""
        self._seen = {frame_id: seen for frame_id, seen in self._seen.items() if now - seen <= WINDOW}
        return sorted(self._seen)

    def has_several_cameras(self, now: float) -> bool:
        """Whether the frame_id changed SEVERAL times in the last WINDOW seconds."""
        return _several(self._changes, now)

    def goes_back(self, now: float) -> bool:
        """Whether stamps or numbers of one frame_id went back SEVERAL times in the last WINDOW seconds."""
        return _several(self._backwards, now)


def _several(times: deque[float], now: float) -> bool:
    return len(times) == SEVERAL and now - times[0] <= WINDOW


def quoted(frame_ids: list[str]) -> str:
    """Frame_ids for a message to people, shortened where they are many or long."""
    names = [repr(frame_id[:40]) for frame_id in frame_ids[:CAMERAS]]
    return ", ".join(names) + (f" and {len(frame_ids) - CAMERAS} more" if len(frame_ids) > CAMERAS else "")
