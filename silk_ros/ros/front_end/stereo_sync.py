"""Pairs of left and right images by their stamps. message_filters does the same, but has no wheel."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

DEPTH = 5  # largest number of images of one camera that wait for their partners

Item = TypeVar("Item")


class PairSync(Generic[Item]):
    """Pairs the items of two cameras, each of which sends in the order of its stamps, with any delay between the two.

    An item is paired at its arrival with the nearest waiting item of the other camera whose stamp differs by at most
    `max_interval` nanoseconds; a nearer one cannot follow if that is below half the time between two images.

    An item is in at most one pair, and pairs come in the order of time. Items that can no longer be paired are dropped
    and counted in `left.unpaired` and `right.unpaired`: those older than the other camera's stamps allow or than a
    pair, the oldest of more than DEPTH, and all when a stamp goes back (a recording that starts again). Not
    thread-safe.
    """

    def __init__(self, max_interval: int = 0) -> None:
        """Raises ValueError, naming the range, for an interval out of range."""
        if max_interval < 0:
            raise ValueError(f"max_interval must be 0 (equal stamps) or more, not {max_interval}: it is in nanoseconds")
        self._max_interval = max_interval
        self.left: _Side[Item] = _Side()
        self.right: _Side[Item] = _Side()

    def put_left(self, stamp: int, item: Item) -> tuple[Item, Item] | None:
        """The pair (left, right) that an item of the left camera completes, if any; `stamp` is in nanoseconds."""
        partner = self._put(self.left, self.right, stamp, item)
        return None if partner is None else (item, partner)

    def put_right(self, stamp: int, item: Item) -> tuple[Item, Item] | None:
        """The pair (left, right) that an item of the right camera completes, if any; `stamp` is in nanoseconds."""
        partner = self._put(self.right, self.left, stamp, item)
        return None if partner is None else (partner, item)

    def clear(self) -> None:
        """Drop all waiting items, and accept any stamp next."""
        for side in (self.left, self.right):
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
        own.drop(len(own.waiting) - DEPTH)
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
