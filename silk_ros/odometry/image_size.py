"""Comparison of the pixels of matches with the size of the images that a calibration is of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera

MARGIN = 1.0  # pixels
LARGEST = 16.0  # times the size; pixels beyond are of no image
PART = 0.6  # of the width and of the height; images that fill less may be smaller than the calibration says
ENOUGH = 5000  # matches after which this is noticed

REMEDY = "publish the camera_info of the images, with their binning and region of interest"


class OtherSize(ValueError):
    """Matches lie outside of the images that the calibration is of."""


class SizeCheck:
    """Compares matches with the size of the camera's images.

    doubt: why the images may be smaller; empty where nothing says so.
    """

    def __init__(self) -> None:
        self.doubt = ""
        self._size = (0, 0)
        self._count = 0  # of matches since the size changed
        self._last_pixel = np.zeros(2)  # largest x and y of them

    def check(self, matches: NDArray[Any], camera: Camera) -> None:
        """Take in matches, a structured array (M,) with u, v in pixels. Raises OtherSize, naming the fix."""
        size = camera.width, camera.height
        if size != self._size:
            self._size, self._count, self._last_pixel = size, 0, np.zeros(2)
        if not len(matches) or not {"u", "v"} <= set(matches.dtype.names or ()):
            return
        pixels = np.stack([matches["u"], matches["v"]], axis=1)
        possible = (np.abs(pixels) < LARGEST * np.array(size)).all(axis=1)  # and not NaN
        pixels = pixels[possible]
        if not len(pixels):
            return
        self._last_pixel = np.maximum(self._last_pixel, pixels.max(axis=0))
        x, y = self._last_pixel
        of = f"camera_info is of images of {size[0]}x{size[1]} pixels"
        if (pixels.max(axis=0) > np.array(size) - 1 + MARGIN).any():
            raise OtherSize(f"{of}, but there are matches up to column {x:.0f} and row {y:.0f}: {REMEDY}")
        self._count += len(pixels)
        small = self._count >= ENOUGH and x < PART * size[0] and y < PART * size[1]
        part = f"all matches are within the first {x:.0f} columns and {y:.0f} rows"
        self.doubt = f"{of}, but {part}: if the images are smaller, {REMEDY}" if small else ""
