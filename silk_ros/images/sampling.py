"""Evenly spaced samples of sequences and of streams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def evenly_spaced(total: int, count: int) -> list[int]:
    """At most `count` of the numbers below `total`: the middles of equal parts."""
    count = min(count, total)
    return [int((part + 0.5) * total / count) for part in range(count)]


def spaced_to_ends(start: int, stop: int, count: int) -> list[int]:
    """At most `count` of the numbers from `start` to below `stop`, at equal distances, with the first and the last."""
    return np.linspace(start, stop - 1, min(count, stop - start)).round().astype(int).tolist()


def spread(items: Iterable[T], count: int) -> list[T]:
    """At most `count` items of a stream of unknown length, at equal distances; holds at most `count` + 1 items."""
    kept: list[T] = []
    stride = 1
    for index, item in enumerate(items):
        if index % stride == 0:
            kept.append(item)
            if len(kept) > count:
                kept, stride = kept[::2], stride * 2
    return kept
