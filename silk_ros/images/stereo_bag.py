"""The stereo pairs of two topics of a recording."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..geometry.camera import RECTIFIED
from .bag import BagSource
from .source import Lost, Source, SourceImage

LEFT, RIGHT = SIDES = ("left", "right")


class _Timed(NamedTuple):
    """An image of one side, or the loss in its place.

    time: how often the stamps of the side have gone back, as where a recording starts again, and its own in
          nanoseconds.
    """

    time: tuple[int, int]
    side: str
    item: SourceImage | Lost


class StereoBagSource(Source):
    """The images of two topics of a recording whose stamps differ by at most `max_interval` nanoseconds.

    The interval is below half the time between two images. An image without the other one of its pair is left out; of a
    pair whose right image is damaged, the left one is used alone. Topics and `rectified` are those of `BagSource`.
    Raises as `BagSource` does, and ValueError for one topic given twice.
    """

    stereo = True

    def __init__(
        self, path: Path, topic: str, right_topic: str, rectified: str = RECTIFIED[0], max_interval: int = 0
    ) -> None:
        super().__init__(str(path))
        self._sides = {side: BagSource(path, each, rectified) for side, each in zip(SIDES, (topic, right_topic))}
        left, right = self._sides.values()
        if left.topic == right.topic:
            raise ValueError(f"'{left.topic}' is the topic of the left and of the right images: choose two")
        self._max_interval = max_interval
        self.rate = left.rate
        self.about = f"left: {left.about}; right: {right.about}"

    def _read(self) -> Iterator[SourceImage | Lost]:
        waiting: _Timed | None = None
        for timed in heapq.merge(*map(self._timed, SIDES), key=lambda timed: timed.time):
            if isinstance(timed.item, Lost) and timed.item.stamp is None:
                yield timed.item
            elif waiting is None:
                waiting = timed
            elif self._are_pair(waiting, timed):
                yield from _pair({each.side: each.item for each in (waiting, timed)})
                waiting = None
            else:
                yield _alone(waiting)
                waiting = timed
        if waiting is not None:
            yield _alone(waiting)

    def _timed(self, side: str) -> Iterator[_Timed]:
        """The images of a side in order of their times."""
        restarts = last = 0
        for item in self._sides[side]._read():
            stamp = last if item.stamp is None else item.stamp
            restarts, last = restarts + (stamp < last), stamp
            yield _Timed((restarts, stamp), side, item)

    def _are_pair(self, one: _Timed, other: _Timed) -> bool:
        near = other.time[1] - one.time[1] <= self._max_interval
        return one.side != other.side and one.time[0] == other.time[0] and near


def _pair(items: dict[str, SourceImage | Lost]) -> Iterator[SourceImage | Lost]:
    """What can be used of a pair, and what is lost of it."""
    left, right = items[LEFT], items[RIGHT]
    yield from (item for item in (left, right) if isinstance(item, Lost))
    if not isinstance(left, Lost):
        yield left if isinstance(right, Lost) else replace(left, right=right)


def _alone(timed: _Timed) -> Lost:
    """The loss of an image without a partner."""
    if isinstance(timed.item, Lost):
        return timed.item
    return Lost(f"{timed.side} image at {timed.time[1] / 1e9:.6f} s", "the other camera has no image of that time")
