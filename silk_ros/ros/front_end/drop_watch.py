"""Warning for a node that is too slow for its camera."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

WINDOW = 10.0  # seconds over which drops are counted
TOO_MANY = 0.1  # share of dropped images that is too large


class Counts(NamedTuple):
    """Numbers of images since the start."""

    received: int
    dropped: int


class DropWatch:
    """Warns once when more than a tenth of the images of ten seconds was dropped."""

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._seen: deque[tuple[float, Counts]] = deque()  # counts of the window, by time
        self._warned = False

    def check(self, counts: Counts, shape: tuple[int, ...] | None, stereo: bool) -> None:
        """Take in the present counts, about every second. shape: (H, W) of the images; None before the first."""
        now = time.monotonic()
        if shape is None:
            self._seen.clear()  # the window starts with the images
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
    """Advice for a camera whose images are dropped. rate: of the camera, in Hz. program: the benchmark command."""
    return (
        f"this machine does not hold {rate:.3g} Hz with these settings; '{program} --rate "
        f"{rate:.3g} --size {width}x{height}{' --stereo' if stereo else ''}' finds settings that it holds"
    )
