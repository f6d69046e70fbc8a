"""The stereo pairs of two topics of a recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ..geometry.camera import RECTIFIED
from .bag import BagSource
from .source import Lost, Source, SourceImage

AHEAD = 30  # images of one side among which is sought where its stamps go back as those of the other side did


class _Side:
    """The images of one camera in the order of the recording, some of which are read ahead.

    newest: largest stamp so far, in nanoseconds, since the recording began or started again.
    """

    def __init__(self, name: str, items: Iterator[SourceImage | Lost]) -> None:
        self.name, self.newest = name, 0
        self._items, self._ahead = items, deque[SourceImage | Lost]()

    def is_at_end(self) -> bool:
        return self._read_ahead(1) == 0

    @property
    def stamp(self) -> int:
        """The stamp of the next image; that of a loss without one is the newest."""
        self._read_ahead(1)
        return self._stamp_of(self._ahead[0])

    def is_late(self) -> bool:
        """Whether the stamp of the next image goes back."""
        return self.stamp < self.newest

    def goes_back_before(self, stamp: int) -> bool:
        """Whether the stamp of one of the next images goes back, to one before the given stamp."""
        self._read_ahead(AHEAD)
        return any(self._stamp_of(item) < min(stamp, self.newest) for item in self._ahead)

    def take(self) -> SourceImage | Lost:
        """The next image."""
        self.newest = max(self.newest, self.stamp)
        return self._ahead.popleft()

    def alone(self) -> Lost:
        """The loss of the next image, which has no partner."""
        stamp, item = self.stamp, self.take()
        if isinstance(item, Lost):
            return item
        place = f"{self.name} image at {stamp / 1e9:.6f} s"
        return Lost(place, "the other camera has no image of that time", unpaired=True)

    def _stamp_of(self, item: SourceImage | Lost) -> int:
        return self.newest if item.stamp is None else item.stamp

    def _read_ahead(self, count: int) -> int:
        """The number of images that are read ahead, up to a count."""
        self._ahead.extend(islice(self._items, max(0, count - len(self._ahead))))
        return len(self._ahead)


class StereoBagSource(Source):
    """The images of two topics of a recording whose stamps differ by at most `max_interval` nanoseconds.

    The interval is below half the time between two images. An image without the other one of its pair is left out; of a
    pair whose right image is damaged, the left one is used alone. An image whose stamp goes back has no partner, unless
    the stamps of both sides go back (a recording that starts again). Topics and `rectified` are those of `BagSource`.
    Raises as `BagSource` does, and ValueError for one topic given twice.
    """

    stereo = True

    def __init__(
        self, path: Path, topic: str, right_topic: str, rectified: str = RECTIFIED[0], max_interval: int = 0
    ) -> None:
        super().__init__(str(path))
        self._sides = {"left": BagSource(path, topic, rectified), "right": BagSource(path, right_topic, rectified)}
        left, right = self._sides.values()
        if left.topic == right.topic:
            raise ValueError(f"'{left.topic}' is the topic of the left and of the right images: choose two")
        self._max_interval = max_interval
        self.rate = left.rate
        self.about = f"left: {left.about}; right: {right.about}"

    def _read(self) -> Iterator[SourceImage | Lost]:
        left, right = (_Side(name, source._read()) for name, source in self._sides.items())
        while not (left.is_at_end() or right.is_at_end()):
            if left.is_late() and right.is_late():
                left.newest = right.newest = 0  # the recording starts again
            if left.is_late() or right.is_late():
                yield _without_partner(left, right).alone()
            elif abs(left.stamp - right.stamp) <= self._max_interval:
                yield from _pair(left.take(), right.take())
            else:
                yield min(left, right, key=lambda side: side.stamp).alone()
        for side in (left, right):
            while not side.is_at_end():
                yield side.alone()


def _without_partner(left: _Side, right: _Side) -> _Side:
    """The side whose next image has no partner, where the stamp of one side goes back.

    It is the other side where that one goes back too, as in a recording that starts again: what is left of its first
    part has no partner.
    """
    late, other = (left, right) if left.is_late() else (right, left)
    return other if other.goes_back_before(late.newest) else late


def _pair(left: SourceImage | Lost, right: SourceImage | Lost) -> Iterator[SourceImage | Lost]:
    """What can be used of a pair, and what is lost of it."""
    yield from (item for item in (left, right) if isinstance(item, Lost))
    if not isinstance(left, Lost):
        yield left if isinstance(right, Lost) else replace(left, right=right)
