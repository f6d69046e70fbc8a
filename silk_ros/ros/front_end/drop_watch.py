"""Tells once when the node is too slow for its camera, and what to do about it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

WINDOW = 10.0  # seconds that drops are counted over
TOO_MANY = 0.1  # share of the images


class Counts(NamedTuple):
    """Images since the start."""

    received: int
    dropped: int


class DropWatch:
    """Watches counts of images, and warns once when more than a tenth was dropped for ten seconds."""

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._seen: deque[tuple[float, Counts]] = deque()  # of the window
        self._warned = False

    def check(self, counts: Counts, shape: tuple[int, ...] | None, stereo: bool) -> None:
        """Take the counts of now, about every second. shape: height and width of the images; None before the first."""
        now = time.monotonic()
        self._seen.append((now, counts))
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()
        began, before = self._seen[0]
        if self._warned or shape is None or now - began < WINDOW:
            return
        received, dropped = counts.received - before.received, counts.dropped - before.dropped
        if dropped > TOO_MANY * received:
            self._warned = True
            rate = received / (now - began)
            self._warn(
                f"{dropped} of {received} images of the last {now - began:.0f} s were dropped: "
                + advice(rate, shape[1], shape[0], stereo)
            )


def advice(rate: float, width: int, height: int, stereo: bool, program: str = "ros2 run silk_ros benchmark") -> str:
    """What to do where images of a camera are dropped. rate: of the camera, in Hz."""
    return (
        f"this machine does not hold {rate:.3g} Hz with these settings; '{program} --rate "
        f"{rate:.3g} --size {width}x{height}{' --stereo' if stereo else ''}' finds settings that it holds"
    )
