"""The time between images as it was when they were recorded."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

LONGEST_GAP = 600.0  # seconds; stamps further apart come from two clocks


class Pace:
    """The time between the images of a source, taken one after another. `rate` is that of the source in Hz."""

    def __init__(self, rate: float) -> None:
        self._usual = 1 / rate
        self._last: int | None = None  # where the clock of the recording stands
        self._jumped: int | None = None  # the last stamp, where it did not fit
        self._said = False

    def after_last(self, stamp: int | None) -> float:
        """Seconds from the last image to the one with a stamp in nanoseconds.

        The usual interval stands for one that is not known, and for one after which the clock went back or ran away.
        """
        last, jumped = self._last, self._jumped
        self._last, self._jumped = stamp, None
        if last is None or stamp is None:
            return self._usual
        for before in (last, jumped):  # after two stamps of another clock, that one counts
            if before is not None and 0 < stamp - before <= LONGEST_GAP * 1e9:
                return (stamp - before) / 1e9
        if not self._said:
            self._said = True
            apart = (stamp - last) / 1e9
            log.warning(
                "a stamp is %+.3f s from where the clock stands: its image comes after %.3f s", apart, self._usual
            )
        self._last, self._jumped = last + round(self._usual * 1e9), stamp
        return self._usual
