"""Grey images from files, and resizing that keeps track of pixel coordinates."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...images.image_files import decode_file, image_files
from ...images.source import IMAGE_SUFFIXES, SourceImage
from ...images.value_range import ValueRange
from ..options import DatasetError

Image = NDArray[np.uint8]  # grey (H, W)


def read_image(path: Path) -> Image:
    """The grey image (H, W) of a file; 16-bit values are stretched. Raises DatasetError for a file that is no image."""
    try:
        # The decoder makes grey of colours.
        image = decode_file(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
        return SourceImage.from_array(image, value_range=ValueRange(quiet=True)).gray()
    except ValueError as error:
        raise DatasetError(f"cannot read the image '{path}': {error}") from error


def load_images(folder: Path) -> list[Image]:
    """The images of a folder by name. Raises DatasetError if there are none, or one cannot be read."""
    if not folder.is_dir():
        raise DatasetError(f"no folder '{folder}': it should hold images")
    images = [read_image(path) for path in image_files(folder)]
    if not images:
        raise DatasetError(f"no images in '{folder}': it should hold {', '.join(sorted(IMAGE_SUFFIXES))} files")
    return images


def resize_shorter_edge(image: Image, shorter_edge: int) -> tuple[Image, NDArray[np.float64]]:
    """An image resized to `shorter_edge` pixels on its shorter edge, and the transform (3, 3) of its pixels."""
    height, width = image.shape
    factor = shorter_edge / min(height, width)
    return resize(image, (round(width * factor), round(height * factor)))


def resize(image: Image, size: tuple[int, int]) -> tuple[Image, NDArray[np.float64]]:
    """An image resized to (width, height), and the transform (3, 3) of its pixel coordinates to the new ones."""
    height, width = image.shape
    x, y = size[0] / width, size[1] / height
    # Pixel areas correspond, not pixel centres.
    transform = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    interpolation = cv2.INTER_AREA if min(x, y) < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8), transform
