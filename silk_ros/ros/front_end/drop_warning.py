"""Warning for a node that is too slow for its camera."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ...command_line import program

WINDOW = 10.0  # seconds over which drops are counted
TOO_MANY = 0.1  # share of dropped images that is too large


class DropWatch:
    """Warns once when more than a tenth of the images of ten seconds was dropped."""

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._seen: deque[tuple[float, int, int]] = deque()  # times of the window, and the counts then
        self._warned = False

    def check(self, received: int, dropped: int, shape: tuple[int, ...] | None, stereo: bool) -> None:
        """Take in the numbers of images since the start, about every second. shape: (H, W); None before the first."""
        now = time.monotonic()
        if shape is None:
            self._seen.clear()  # the window starts with the images
        self._seen.append((now, received, dropped))
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()
        began, received_before, dropped_before = self._seen[0]
        seconds, received, dropped = now - began, received - received_before, dropped - dropped_before
        if self._warned or shape is None or seconds < WINDOW or dropped <= TOO_MANY * received:
            return
        self._warned = True
        what = f"{dropped} of {received} images of the last {seconds:.0f} s were dropped"
        self._warn(f"{what}: {advice(received / seconds, shape[1], shape[0], stereo)}")


def advice(rate: float, width: int, height: int, stereo: bool) -> str:
    """Advice for a camera whose images are dropped. rate: of the camera, in Hz."""
    pairs = ["--stereo"] if stereo else []
    command = program("benchmark", "--rate", f"{rate:.3g}", "--size", f"{width}x{height}", *pairs)
    return f"this machine does not hold {rate:.3g} Hz with these settings; '{command}' finds settings that it holds"
