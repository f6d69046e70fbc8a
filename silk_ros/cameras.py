"""Streams that should be of one camera: watched, and kept apart by camera where they are not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from .extractor import Extractor
from .front_end_options import FrontEndOptions
from .frontend import FrontEnd
from .tracker import TrackIds

CAMERAS = 4  # of a stream, that are kept apart
PATIENCE = 100  # images of a stream after which a camera without any makes room for another
COUNTED = 16  # new frame_ids in a row, from more of which on they are numbers of images and not names of cameras
WINDOW = 10.0  # seconds over which a stream is watched
SEVERAL = 3  # changes within WINDOW; a driver that is started again makes one

T = TypeVar("T")


class PerCamera(Generic[T]):
    """One object for each of the first CAMERAS cameras of a stream, made when it is first asked for.

    A camera is known by the frame_id of its images, a stereo pair by those of both. One that was not asked for the last
    PATIENCE times makes room for another. More than COUNTED frame_ids in a row that are all new are those of a driver
    that counts in them, which is one camera.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._objects: dict[tuple[str, ...], T] = {}  # that of a driver that counts has no frame_id
        self._asked = self._new = 0  # times in all, and in a row for frame_ids that are new
        self._last: dict[tuple[str, ...], int] = {}  # the number of the last time

    def of(self, *frame_ids: str) -> T | None:
        """The object of a camera; None while there is no room for it."""
        self._asked += 1
        self._new = 0 if frame_ids in self._last else self._new + 1
        camera = frame_ids if self._new <= COUNTED else ()
        self._last |= {frame_ids: self._asked, camera: self._asked}
        recent = self._asked - PATIENCE
        self._last = {each: last for each, last in self._last.items() if each in self._objects or last > recent}
        if camera not in self._objects:
            oldest = min(self._objects, key=self._last.__getitem__, default=camera)
            if len(self._objects) >= CAMERAS and self._last[oldest] <= recent:
                del self._objects[oldest]
            if len(self._objects) < CAMERAS or not camera:
                self._objects[camera] = self._make()
        return self._objects.get(camera)

    def clear(self) -> None:
        """Forget all cameras."""
        self._objects.clear()

    def __iter__(self) -> Iterator[T]:
        return iter(self._objects.values())


class CameraFrontEnds:
    """Front-ends for the images of a stream, one for each camera. They share an extractor, and no two share a track id.

    Images are thus matched with the previous image of their own camera.

    crowded: whether the last image found no room: a front-end of its own leaves it without matches.
    """

    crowded = False

    def __init__(self, extractor: Extractor, options: FrontEndOptions | None = None) -> None:
        self._extractor, self._options, self._ids = extractor, options, TrackIds()
        self._front_ends = PerCamera(self._front_end)

    def of(self, *frame_ids: str) -> FrontEnd:
        """The front-end for images of a frame_id, or for stereo pairs of two."""
        front_end = self._front_ends.of(*frame_ids)
        self.crowded = front_end is None
        return self._front_end() if front_end is None else front_end

    def _front_end(self) -> FrontEnd:
        return FrontEnd(self._extractor, self._options, self._ids)

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
        self._new = 0  # frame_ids in a row that were not seen before
        self._stamp = self._number = -1
        self._changes: deque[float] = deque(maxlen=SEVERAL)  # times
        self._backwards: deque[float] = deque(maxlen=SEVERAL)

    def take(self, now: float, frame_id: str, stamp: int, number: int | None = None) -> bool:
        """Take in an image. Returns whether it is of another camera than the one before.

        stamp: nanoseconds. number: the count of its publisher, which is different for each; None where it is unknown.
        """
        changed = self._frame_id not in (None, frame_id)
        self._new = 0 if frame_id in self._seen else self._new + 1
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

    @property
    def counts(self) -> bool:
        """Whether the driver counts in the frame_id."""
        return self._new > COUNTED

    def is_mixed(self, now: float) -> bool:
        """Whether images of the last WINDOW seconds may be of several cameras. Any thread may ask."""
        return not self.counts and bool(self._changes) and now - self._changes[-1] <= WINDOW

    def has_several_cameras(self, now: float) -> bool:
        """Whether the frame_id changed SEVERAL times in the last WINDOW seconds, and not to count."""
        return not self.counts and _several(self._changes, now)

    def goes_back(self, now: float) -> bool:
        """Whether stamps or numbers of one frame_id went back SEVERAL times in the last WINDOW seconds."""
        return _several(self._backwards, now)


def _several(times: deque[float], now: float) -> bool:
    return len(times) == SEVERAL and now - times[0] <= WINDOW


def quoted(frame_ids: list[str]) -> str:
    """Frame_ids for a message to people, shortened where they are many or long."""
    names = [repr(frame_id[:40]) for frame_id in frame_ids[:CAMERAS]]
    return ", ".join(names) + (f" and {len(frame_ids) - CAMERAS} more" if len(frame_ids) > CAMERAS else "")
