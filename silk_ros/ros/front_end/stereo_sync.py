"""Pairs of left and right images by their stamps. message_filters does the same, but has no wheel."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

DEPTH = 5  # largest number of images of one camera that wait for their partners

Item = TypeVar("Item")


class PairSync(Generic[Item]):
    """Pairs the items of two cameras, each of which sends in the order of its stamps, with any delay between the two.

    When an item arrives, it is paired with the nearest waiting item of the other camera whose stamp differs by at most
    `max_interval` nanoseconds; 0 means equal stamps. It does not wait for a nearer one: there is none if the interval
    is below half the time between two images of a camera.

    An item is in at most one pair, and pairs come in the order of time. Items that can no longer be paired are dropped
    and counted in `unpaired_left` and `unpaired_right`: those older than the other camera's stamps allow, those older
    than a pair, the oldest of more than `depth`, and all when a stamp goes back (a recording that starts again, a clock
    that was set).

    Not thread-safe.
    """

    def __init__(self, max_interval: int = 0, depth: int = DEPTH) -> None:
        """Raises ValueError, naming the range, for an interval or a depth out of range."""
        if max_interval < 0:
            raise ValueError(f"max_interval must be 0 (equal stamps) or more, not {max_interval}: it is in nanoseconds")
        if depth < 1:
            raise ValueError(f"depth must be 1 or more, not {depth}")
        self._max_interval, self._depth = max_interval, depth
        self._left: _Side[Item] = _Side()
        self._right: _Side[Item] = _Side()

    @property
    def unpaired_left(self) -> int:
        return self._left.unpaired

    @property
    def unpaired_right(self) -> int:
        return self._right.unpaired

    def put_left(self, stamp: int, item: Item) -> tuple[Item, Item] | None:
        """The pair (left, right) that an item of the left camera completes, if any; `stamp` is in nanoseconds."""
        partner = self._put(self._left, self._right, stamp, item)
        return None if partner is None else (item, partner)

    def put_right(self, stamp: int, item: Item) -> tuple[Item, Item] | None:
        """The pair (left, right) that an item of the right camera completes, if any; `stamp` is in nanoseconds."""
        partner = self._put(self._right, self._left, stamp, item)
        return None if partner is None else (partner, item)

    def clear(self) -> None:
        """Drop all waiting items, and accept any stamp next."""
        for side in (self._left, self._right):
            side.drop(len(side.waiting))
            side.newest = None

    def _put(self, own: _Side[Item], other: _Side[Item], stamp: int, item: Item) -> Item | None:
        """The partner of an item; the item waits if there is none."""
        if own.newest is not None and stamp < own.newest:
            self.clear()
        own.newest = stamp
        other.drop(sum(waiting < stamp - self._max_interval for waiting, _ in other.waiting))
        distances = [abs(waiting - stamp) for waiting, _ in other.waiting]
        if distances and min(distances) <= self._max_interval:
            own.drop(len(own.waiting))
            other.drop(distances.index(min(distances)))
            return other.waiting.popleft()[1]
        own.waiting.append((stamp, item))
        own.drop(len(own.waiting) - self._depth)
        return None


class _Side(Generic[Item]):
    """The waiting items of one camera, in the order of their stamps."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Item]] = deque()
        self.newest: int | None = None  # newest stamp
        self.unpaired = 0

    def drop(self, count: int) -> None:
        """Drop the oldest items."""
        for _ in range(count):
            self.waiting.popleft()
            self.unpaired += 1
