"""The time between images as it was when they were recorded."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

LONGEST_GAP = 600.0  # seconds; stamps further apart come from two clocks


class Pace:
    """The time between the images of a source, taken one after another. `rate` is that of the source in Hz."""

    def __init__(self, rate: float) -> None:
        self._usual = 1 / rate
        self._last: int | None = None
        self._said = False

    def after_last(self, stamp: int | None) -> float:
        """Seconds from the last image to the one with a stamp in nanoseconds.

        The usual interval stands for one that is not known, and for one after which the clock went back or ran away.
        """
        last = self._last
        self._last = stamp
        if last is None or stamp is None:
            return self._usual
        seconds = (stamp - last) / 1e9
        if 0 < seconds <= LONGEST_GAP:
            return seconds
        if not self._said:
            self._said = True
            log.warning(
                "the stamp of an image is %+.3f s from the one before: played after %.3f s", seconds, self._usual
            )
        self._last = last + round(self._usual * 1e9)
        return self._usual
