"""Masks of images, which leave keypoints out, such as those on the arm of the robot."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

# Keep small values of 16-bit masks, and pixels where the file has them.
FLAGS = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def read_mask(path: Path) -> NDArray[np.uint8]:
    """The mask (H, W) uint8 in an image file: 255 where a pixel is not black, else 0.

    Raises FileNotFoundError, or ValueError, naming the fix, for a file that is no image or is all black.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no mask '{path}': give an image file, black where no keypoints are wanted")
    image = cv2.imread(str(path), FLAGS)
    if image is None:
        raise ValueError(f"cannot read the mask '{path}': give a grey PNG, black where no keypoints are wanted")
    if not image.any():
        raise ValueError(f"the mask '{path}' is all black, which leaves no keypoint: make white what is wanted")
    return np.where(image != 0, 255, 0).astype(np.uint8)


def mask_rows(
    mask: NDArray[np.uint8], keypoints: NDArray[np.floating], image_shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Which keypoints (N, 2) of an image (H, W) the mask keeps: those whose nearest pixel in it is not zero.

    Raises ValueError, naming the fix, for a mask of another size than the image.
    """
    height, width = mask.shape
    if mask.shape != image_shape:
        raise ValueError(
            f"the mask has {width}x{height} pixels, the image {image_shape[1]}x{image_shape[0]}: "
            "draw the mask on an image of this camera"
        )
    column, row = np.rint(keypoints).astype(np.intp).T
    return np.asarray(mask[row.clip(0, height - 1), column.clip(0, width - 1)] != 0)
