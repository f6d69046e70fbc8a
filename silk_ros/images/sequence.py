"""The images of a source as grey frames with stamps, for programs that process a whole sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .source import Source, SourceImage

FIRST_STAMP = 10**9  # nanoseconds; of sources without a clock, as zero means "no stamp" to ROS


@dataclass(frozen=True, eq=False)
class SequenceFrame:
    """One image of a sequence with its stamp in nanoseconds. `index` counts the images of the source."""

    index: int
    stamp: int
    image: SourceImage
    gray: NDArray[np.uint8]
    camera: Camera | None

    def picture(self) -> NDArray[np.uint8]:
        """The image for people: (H, W, 3) BGR where the source gives 8-bit colour, else the grey image (H, W)."""
        to_bgr = {"bgr8": None, "rgb8": cv2.COLOR_RGB2BGR}
        if self.image.encoding not in to_bgr:
            return self.gray
        height, width = self.gray.shape
        rows = np.asarray(self.image.data).reshape(height, self.image.step)
        pixels = np.ascontiguousarray(rows[:, : 3 * width]).reshape(height, width, 3)
        code = to_bgr[self.image.encoding]
        return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def read_frames(source: Source, every: int = 1, intrinsics: list[float] | None = None) -> Iterator[SequenceFrame]:
    """Every N-th image of a source, N being `every`.

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
        yield SequenceFrame(index, stamp, image, image.gray(), camera)
