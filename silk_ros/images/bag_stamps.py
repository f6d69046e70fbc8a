"""The clock of recorded images."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from .source import usual_rate

CLOSE = 10**9  # nanoseconds from its start within which a clock may be zero


class RecordedClock:
    """The stamps of the images of a topic, all on one clock, and their rate.

    Where the headers of the first images are all zero, the times of reception replace the stamps of all images. A zero
    among other stamps is replaced by the time of reception less its usual delay.

    times: header stamp and time of reception of the first images, in nanoseconds.
    """

    def __init__(self, times: Sequence[tuple[int, int]]) -> None:
        self.is_reception = bool(times) and not any(stamp for stamp, _ in times)
        self._delay = median_low([received - stamp for stamp, received in times if stamp] or [0])
        stamps = [self.of(stamp, received) for stamp, received in times]
        if len(set(stamps)) < 2:  # of a driver whose clock stands still
            stamps = [received for _, received in times]
        self.rate = usual_rate(stamps)

    def of(self, stamp: int, received: int) -> int:
        """The stamp of an image on this clock, by its header and the time of its reception, in nanoseconds."""
        if self.is_reception:
            return received
        expected = received - self._delay
        return stamp if stamp or expected < CLOSE else expected
