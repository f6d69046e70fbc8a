from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.folders import FolderSource, StereoFolderSource
from silk_ros.images.sources import open_source

COUNT, HEIGHT, WIDTH = 3, 6, 8
P0 = "50 0 3.5 0  0 50 2.5 0  0 0 1 0"
P1 = "50 0 3.5 -25  0 50 2.5 0  0 0 1 0"


def picture(level: int) -> NDArray[np.uint8]:
    return np.full((HEIGHT, WIDTH), level, np.uint8)


def stereo_folder(folder: Path, left: str = "image_0", right: str = "image_1") -> Path:
    """Left images of levels 0, 10, 20 and right ones of 100, 110, 120."""
    for name, first in ((left, 0), (right, 100)):
        (folder / name).mkdir(parents=True)
        for index in range(COUNT):
            cv2.imwrite(str(folder / name / f"{index:06}.png"), picture(first + 10 * index))
    return folder


@pytest.mark.parametrize(("left", "right"), [("image_0", "image_1"), ("left", "right")])
def test_pairs_come_in_order_as_often_as_wanted(tmp_path: Path, left: str, right: str) -> None:
    source = open_source(str(stereo_folder(tmp_path, left, right)))
    assert isinstance(source, StereoFolderSource)
    for _ in range(2):
        pairs = [(int(image.data[0]), int(image.right.data[0])) for image in source if image.right]
        assert pairs == [(0, 100), (10, 110), (20, 120)]


def test_without_a_calibration_nothing_is_made_up(tmp_path: Path) -> None:
    image = next(iter(open_source(str(stereo_folder(tmp_path)))))
    assert image.right is not None
    assert (image.camera, image.right.camera, image.pose) == (None, None, None)


@pytest.mark.parametrize("text", [f"P0: {P0}\nP1: {P1}\nTr: 1 0\n", f"{P0}\n{P1}", f"{P0}\n\n{P1}\n{P1}\n"])
def test_the_calibration_is_that_of_a_rectified_pair(tmp_path: Path, text: str) -> None:
    (stereo_folder(tmp_path) / "calib.txt").write_text(text)
    for image in open_source(str(tmp_path)):
        assert image.camera is not None and image.right is not None and image.right.camera is not None
        assert (image.camera.width, image.camera.height) == (WIDTH, HEIGHT)
        assert image.camera.projection[0].tolist() == [50, 0, 3.5, 0]
        assert image.right.camera.projection[0].tolist() == [50, 0, 3.5, -25]
        assert image.right.camera.matrix[0].tolist() == [50, 0, 3.5]


def test_the_poses_come_along(tmp_path: Path) -> None:
    rows = [f"1 0 0 {index} 0 1 0 0 0 0 1 {2 * index}" for index in range(COUNT)]
    (stereo_folder(tmp_path) / "poses.txt").write_text("\n".join(rows))
    poses = [image.pose for image in open_source(str(tmp_path)) if image.pose is not None]
    np.testing.assert_array_equal([pose[:3, 3] for pose in poses], [[0, 0, 0], [1, 0, 2], [2, 0, 4]])
    np.testing.assert_array_equal([pose[3] for pose in poses], [[0, 0, 0, 1]] * COUNT)


def test_one_camera_s_folder_is_one_camera(tmp_path: Path) -> None:
    source = open_source(str(stereo_folder(tmp_path) / "image_0"))
    assert isinstance(source, FolderSource)
    assert [image.right for image in source] == [None] * COUNT


@pytest.mark.parametrize("text", ["", P0, f"P0: {P0}\nP2: {P1}", f"{P0}\n1 2 3", f"{P0}\nno numbers"])
def test_another_calibration_is_explained(tmp_path: Path, text: str) -> None:
    (stereo_folder(tmp_path) / "calib.txt").write_text(text)
    with pytest.raises(ValueError, match=r"calib.txt' is no KITTI calibration: its row P[01] needs twelve numbers"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("text", ["1 2 3", "no numbers"])
def test_poses_that_are_none_are_explained(tmp_path: Path, text: str) -> None:
    (stereo_folder(tmp_path) / "poses.txt").write_text(text)
    with pytest.raises(ValueError, match=r"poses.txt' does not hold poses"):
        open_source(str(tmp_path))


def test_poses_of_another_number_are_explained(tmp_path: Path) -> None:
    (stereo_folder(tmp_path) / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(ValueError, match=r"1 rows in '.*poses.txt' for 3 images"):
        open_source(str(tmp_path))


def test_a_missing_right_image_is_explained(tmp_path: Path) -> None:
    (stereo_folder(tmp_path) / "image_1" / "000002.png").unlink()
    with pytest.raises(ValueError, match=r"3 images in '.*image_0' and 2 in '.*image_1'"):
        open_source(str(tmp_path))
