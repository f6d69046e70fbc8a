"""8-bit grey from 16-bit images, by the range of values that a stream really uses."""

from __future__ import annotations

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

NARROW = 2**14  # between the ends of a range that is stretched; one of 10 to 14 bits is narrower
SAMPLES = 10_000  # pixels that tell the range of an image
OUTLIERS = 0.1  # percent of the values at either end that do not widen the range: hot and dead pixels
UNKNOWN = 65535, 0

Values = NDArray[np.uint16]


class ValueRange:
    """The range of values of a stream of 16-bit images, which is stretched to 8 bits.

    Values of 10 to 14 bits in a container of 16 bits, and those of thermal cameras, would become a few grey levels if
    they were scaled by 255 / 65535. Instead the range of the stream so far becomes 0 to 255, and values beyond it its
    ends. The range only grows, so that the brightness does not flicker. Once it is NARROW or wider, images are scaled
    by 255 / 65535, and so they are while it is unknown: images of one value have none.

    The ends are those of the grey values, the width is that of the values that they were made of: an image that is blue
    is dark in grey. One stream has one range, which one thread uses. quiet: the range is not logged.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._gray = self._values = UNKNOWN

    @property
    def _stretched(self) -> bool:
        return self._gray != UNKNOWN and self._narrow

    @property
    def _narrow(self) -> bool:
        low, high = self._values
        return high - low < NARROW

    def to_8_bits(self, gray: Values, values: Values) -> NDArray[np.uint8]:
        """A grey image (H, W) uint8 of an image (H, W) uint16; values: (H, W, channels) that it was made of."""
        if self._narrow:
            self._widen(gray, values)
        low, high = self._gray if self._stretched else (0, 65535)
        scale = 255 / (high - low)
        return np.asarray(cv2.convertScaleAbs(np.maximum(gray, low), alpha=scale, beta=-scale * low), np.uint8)

    def _widen(self, gray: Values, values: Values) -> None:
        """Take in the values of one more image."""
        stretched = self._stretched
        self._gray, self._values = _wider(self._gray, gray), _wider(self._values, values)
        if self._quiet or stretched == self._stretched:
            return
        what = "they are stretched to 8 bits" if self._stretched else "from now on all are scaled by 255 / 65535"
        log.info("16-bit images use values from %d to %d: %s", *self._gray, what)


def _wider(ends: tuple[int, int], values: Values) -> tuple[int, int]:
    """The ends of a range with the values (H, W) or (H, W, channels) of one more image."""
    height, width = values.shape[:2]
    step = (height * width // SAMPLES) | 1  # an odd one meets all colours of a mosaic
    sample = values.reshape(height * width, -1)[::step, :3]  # without the opacity
    low, high = np.percentile(sample, [OUTLIERS, 100 - OUTLIERS], method="nearest").tolist()
    return (min(ends[0], low), max(ends[1], high)) if low < high else ends
