from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.mask import mask_rows, read_mask

HALF = np.repeat([[0, 0, 255, 255]], 3, axis=0).astype(np.uint8)  # the right half is wanted


def test_keypoints_are_kept_where_their_nearest_pixel_is_not_zero() -> None:
    keypoints = np.array([[0, 0], [1.4, 1], [1.6, 1], [3.5, 2.5], [2, -0.4]], np.float32)
    assert mask_rows(HALF, keypoints, (3, 4)).tolist() == [False, False, True, True, True]


def test_any_value_but_zero_counts() -> None:
    assert mask_rows(np.array([[0, 1, 255]], np.uint8), np.array([[0, 0], [1, 0], [2, 0]]), (1, 3)).tolist() == [
        False,
        True,
        True,
    ]


def test_no_keypoints_are_no_rows() -> None:
    assert mask_rows(HALF, np.empty((0, 2), np.float32), (3, 4)).tolist() == []


def test_a_mask_of_another_size_is_explained() -> None:
    with pytest.raises(ValueError, match="the mask has 4x3 pixels, the image 640x480: draw the mask on an image"):
        mask_rows(HALF, np.zeros((1, 2)), (480, 640))


@pytest.mark.parametrize(
    "image",
    [HALF, HALF // 255, np.dstack([HALF] * 3), np.dstack([HALF] * 4), (HALF // 255).astype(np.uint16)],
    ids=["grey", "ones", "colour", "alpha", "16 bits"],
)
def test_a_mask_is_read_from_any_image(tmp_path: Path, image: NDArray[np.generic]) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), image)
    mask = read_mask(tmp_path / "mask.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, HALF)


def test_useless_mask_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no mask '.*missing.png'"):
        read_mask(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"cannot read the mask '.*text.png': give a grey PNG"):
        read_mask(tmp_path / "text.png")
    cv2.imwrite(str(tmp_path / "black.png"), 0 * HALF)
    with pytest.raises(ValueError, match=r"black.png' is all black"):
        read_mask(tmp_path / "black.png")
