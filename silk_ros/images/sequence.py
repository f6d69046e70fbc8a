"""The images of a source as grey frames with a stamp, for programs that work through a whole sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .gray import to_gray
from .sources import Source, SourceImage

FIRST_STAMP = 10**9  # nanoseconds; of sources without a clock, as zero means "no stamp" to ROS


@dataclass(frozen=True, eq=False)
class View:
    """One image of a sequence. `index` counts the source's images; `stamp` is in nanoseconds."""

    index: int
    stamp: int
    image: SourceImage
    gray: NDArray[np.uint8]
    camera: Camera | None

    def picture(self) -> NDArray[np.uint8]:
        """To look at: (H, W, 3) BGR where the source gives 8-bit colour, else the grey image."""
        to_bgr = {"bgr8": None, "rgb8": cv2.COLOR_RGB2BGR}
        if self.image.encoding not in to_bgr:
            return self.gray
        height, width = self.gray.shape
        rows = np.asarray(self.image.data).reshape(height, self.image.step)
        pixels = np.ascontiguousarray(rows[:, : 3 * width]).reshape(height, width, 3)
        code = to_bgr[self.image.encoding]
        return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def read_views(source: Source, every: int = 1, intrinsics: list[float] | None = None) -> Iterator[View]:
    """Every so many images of a source.

    intrinsics: fx, fy, cx, cy and no or four distortion coefficients k1, k2, p1, p2 (OpenCV's), instead of those of
                the source.

    Raises ValueError, naming the fix, for images that cannot be read.
    """
    for index, image in enumerate(source):
        if index % every:
            continue
        camera = image.camera
        if intrinsics is not None:
            fx, fy, cx, cy, *distortion = intrinsics
            matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
            camera = Camera(image.width, image.height, matrix, np.array(distortion))
        stamp = FIRST_STAMP + round(index * 1e9 / source.rate) if image.stamp is None else image.stamp
        gray = to_gray(image.data.data, image.height, image.width, image.encoding, image.step, image.is_bigendian)
        yield View(index, stamp, image, gray, camera)
