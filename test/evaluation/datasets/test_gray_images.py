from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.datasets.gray_images import load_images, resize, resize_shorter_edge
from silk_ros.evaluation.options import DatasetError


def test_resize_maps_pixel_areas() -> None:
    _, transform = resize(np.zeros((4, 8), np.uint8), (4, 8))
    np.testing.assert_allclose(transform, [[0.5, 0, -0.25], [0, 2, 0.5], [0, 0, 1]])
    edge = np.zeros((60, 90), np.uint8)
    edge[:, 45:] = 255
    for shorter_edge in (20, 120):
        resized, transform = resize_shorter_edge(edge, shorter_edge)
        assert min(resized.shape) == shorter_edge
        middle = transform @ [44.5, 0, 1]
        assert middle[0] == pytest.approx((resized.shape[1] - 1) / 2)
        row = resized[0].astype(float)
        np.testing.assert_allclose(row + row[::-1], 255)


def test_images_of_a_folder(tmp_path: Path) -> None:
    for name, level in (("b.png", 20), ("a.jpg", 10)):
        cv2.imwrite(str(tmp_path / name), np.full((30, 40, 3), level, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    assert [int(image.mean()) for image in load_images(tmp_path)] == [10, 20]
    (tmp_path / "c.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"cannot read the image '.*c\.png'"):
        load_images(tmp_path)


def test_folders_without_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no images in '.*' *: it should hold .*\.png"):
        load_images(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        load_images(tmp_path / "missing")
