"""8-bit grey from 16-bit images, by the range of values that a stream really uses."""

from __future__ import annotations

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

FULL_FROM = 2**14  # sensors of 10 to 14 bits leave values from here on unused
SAMPLES = 10_000  # pixels that tell the range of an image
OUTLIERS = 0.1  # percent of the pixels at either end that do not widen the range: hot and dead ones

Values = NDArray[np.uint16]


class ValueRange:
    """The range of values of a stream of 16-bit images, which is stretched to 8 bits.

    Values of 10 to 14 bits in a container of 16 bits would become a few dark grey levels if they were scaled by
    255 / 65535. Instead the range from the lowest to the highest value of the stream so far becomes 0 to 255; it only
    grows, so that the brightness does not flicker. From the first image with a value of FULL_FROM or more on, all are
    scaled by 255 / 65535. So are images of one value only.

    One stream has one range, which one thread uses. quiet: the range is not logged.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._low, self._high = FULL_FROM, 0
        self._full = False

    def to_8_bits(self, gray: Values, highest: int) -> NDArray[np.uint8]:
        """A grey image (H, W) uint8 of an image (H, W) uint16; highest: value in the buffer that it was made of."""
        if not self._full:
            self._widen(gray, highest)
        stretched = not self._full and self._low < self._high
        low, high = (self._low, self._high) if stretched else (0, 65535)
        scale = 255 / (high - low)
        return np.asarray(cv2.convertScaleAbs(np.maximum(gray, low), alpha=scale, beta=-scale * low), np.uint8)

    def _widen(self, gray: Values, highest: int) -> None:
        """Take in the values of one more image."""
        known = self._low < self._high
        if highest >= FULL_FROM:
            self._full = True
            if known:
                self._say("a 16-bit image has values up to %d: from now on all are scaled by 255 / 65535", highest)
            return
        step = max(1, gray.size // SAMPLES)
        low, high = np.percentile(gray.ravel()[::step], [OUTLIERS, 100 - OUTLIERS]).astype(int).tolist()
        self._low, self._high = min(self._low, low), max(self._high, high)
        if not known and self._low < self._high:
            self._say("16-bit images use values from %d to %d: they are stretched to 8 bits", self._low, self._high)

    def _say(self, message: str, *values: int) -> None:
        if not self._quiet:
            log.info(message, *values)
