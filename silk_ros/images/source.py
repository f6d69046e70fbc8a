"""The image of a source, and the protocol of sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .gray import to_gray

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
DEFAULT_RATE = 10.0  # Hz, of sources without a rate of their own


@dataclass(frozen=True, eq=False)
class SourceImage:
    """An image as a camera driver would publish it, with its stamp, pose and calibration where they are known.

    data: raw buffer of `step` bytes per row. pose: camera-to-world (4, 4). camera: calibration.
    stamp, frame_id: of a recorded message's header, in nanoseconds.
    right: the image of the right camera at that moment, where this is the left one of a stereo pair.
    """

    data: NDArray[np.uint8]
    height: int
    width: int
    encoding: str
    step: int
    is_bigendian: bool = False
    pose: NDArray[np.float64] | None = None
    camera: Camera | None = None
    stamp: int | None = None
    frame_id: str | None = None
    right: SourceImage | None = None

    @classmethod
    def from_array(cls, image: NDArray[Any], **known: Any) -> SourceImage:
        """The image of an OpenCV array: grey or BGR(A), 8 or 16 bits. Raises ValueError, naming the fix, for others."""
        encodings = {(1, 1): "mono8", (3, 1): "bgr8", (4, 1): "bgra8", (1, 2): "mono16", (3, 2): "bgr16"}
        channels = 1 if image.ndim == 2 else image.shape[2]
        encoding = encodings.get((channels, image.dtype.itemsize)) if image.dtype.kind == "u" else None
        if encoding is None:
            raise ValueError(
                f"cannot publish an image of shape {image.shape} and type {image.dtype}: "
                "convert it to grey or colour, 8 or 16 bits"
            )
        data = np.ascontiguousarray(image).view(np.uint8).reshape(-1)
        return cls(data, image.shape[0], image.shape[1], encoding, len(data) // image.shape[0], **known)

    def gray(self) -> NDArray[np.uint8]:
        """The image in grey (H, W) uint8. Raises ValueError, naming the fix, for a buffer that cannot be read."""
        return to_gray(self.data.data, self.height, self.width, self.encoding, self.step, self.is_bigendian)


class Source(Protocol):
    """A source of images. Each iteration starts with the first image. `rate` is the rate of the source in Hz."""

    rate: float

    def __iter__(self) -> Iterator[SourceImage]: ...
