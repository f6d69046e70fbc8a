from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import write_images
from numpy.typing import NDArray

from silk_ros.geometry.stereo_geometry import StereoGeometry
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
    assert source.stereo
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
    assert not source.stereo
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


def write_side(folder: Path, names: list[str], first: int = 0) -> None:
    """Images whose level is that of the number at the end of their name, plus `first`."""
    folder.mkdir(exist_ok=True)
    for name in names:
        level = first + int("".join(character for character in Path(name).stem if character.isdecimal())[-2:])
        cv2.imwrite(str(folder / name), picture(level))


def pairs_of(folder: Path) -> list[tuple[int, int]]:
    return [(int(image.data[0]), int(image.right.data[0])) for image in open_source(str(folder)) if image.right]


def test_pairs_are_those_of_one_name_and_the_others_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{1403636579763555500 + index}.png" for index in range(10)]
    write_side(tmp_path / "left", [name for name in names if name != names[3]])
    write_side(tmp_path / "right", [name for name in names if name != names[6]], 100)
    assert pairs_of(tmp_path) == [(index, 100 + index) for index in range(10) if index not in (3, 6)]
    assert f"left/{names[6]}: left out" in caplog.text and f"right/{names[3]}: left out" in caplog.text
    assert "8 images were read, 2 were left out" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["left_08.png", "left_09.png", "left_10.png"], ["right_09.png", "right_10.png", "right_11.png"]),
        (["08_l.png", "09_l.png", "10_l.png"], ["09_r.png", "10_r.png", "11_r.png"]),
        (["cam0_08.png", "cam0_09.png", "cam0_10.png"], ["cam1_09.png", "cam1_10.png", "cam1_11.png"]),
        (["8.png", "9.png", "10.png"], ["9.jpg", "10.jpg", "11.jpg"]),
    ],
)
def test_names_may_differ_in_the_side_and_the_format(tmp_path: Path, left: list[str], right: list[str]) -> None:
    write_side(tmp_path / "left", left)
    write_side(tmp_path / "right", right, 100)
    assert pairs_of(tmp_path) == [(9, 109), (10, 110)]


def test_folders_without_a_common_name_are_refused_with_examples(tmp_path: Path) -> None:
    write_side(tmp_path / "left", ["1.png", "2.png"])
    write_side(tmp_path / "right", ["3.png", "4.png"])
    with pytest.raises(ValueError, match=r"no image in '.*left' has the name of one in .* \('1.png' and '3.png'\)"):
        open_source(str(tmp_path))


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    write_side(tmp_path / "left", ["1.png", "1.jpg"])
    write_side(tmp_path / "right", ["1.png"])
    with pytest.raises(ValueError, match="are images of one moment: leave one"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("side", ["image_0", "image_1"])
def test_a_damaged_image_of_a_pair_is_counted(tmp_path: Path, side: str, caplog: pytest.LogCaptureFixture) -> None:
    (stereo_folder(tmp_path) / side / "000001.png").write_bytes(b"")
    read = [(int(image.data[0]), image.right is not None) for image in open_source(str(tmp_path))]
    assert read == ([(0, True), (20, True)] if side == "image_0" else [(0, True), (10, False), (20, True)])
    assert f"{side}/000001.png: left out: it is empty" in caplog.messages[0]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Left", "Right"),
        ("LEFT", "RIGHT"),
        ("cam0", "cam1"),
        ("image_left", "image_right"),
        ("camera_left", "camera_right"),
    ],
)
def test_usual_names_of_the_two_folders_are_known(tmp_path: Path, left: str, right: str) -> None:
    source = open_source(str(stereo_folder(tmp_path, left, right)))
    assert source.stereo and f"stereo folders ({left}, {right})" in source.about


def poses_text(count: int) -> str:
    return "\n".join(f"1 0 0 {index} 0 1 0 0 0 0 1 0" for index in range(count))


@pytest.mark.parametrize(
    ("numbers", "rows", "places"),
    [
        ([0, 1, 2], 3, [0, 1, 2]),  # a row for each image
        ([5, 6, 7], 3, [0, 1, 2]),  # of a part of a sequence, cut out with its rows
        ([5, 6, 7], 10, [5, 6, 7]),  # of a part of a sequence, with all rows
        ([0, 2, 9], 10, [0, 2, 9]),
    ],
)
def test_rows_belong_to_images_by_their_number(
    tmp_path: Path, numbers: list[int], rows: int, places: list[int]
) -> None:
    for name in ("image_0", "image_1"):
        write_side(tmp_path / name, [f"{number:06}.png" for number in numbers])
    (tmp_path / "poses.txt").write_text(poses_text(rows))
    (tmp_path / "times.txt").write_text("\n".join(f"{index / 10:e}" for index in range(rows)))
    images = list(open_source(str(tmp_path)))
    assert [image.pose[0, 3] for image in images if image.pose is not None] == places
    assert [image.stamp for image in images] == [10**9 + place * 10**8 for place in places]


def test_rows_of_unnumbered_pairs_are_those_of_all_names(tmp_path: Path) -> None:
    names = [f"{1403636579763555500 + index}.png" for index in range(5)]
    write_side(tmp_path / "left", [name for name in names if name != names[1]])
    write_side(tmp_path / "right", [name for name in names if name != names[3]])
    (tmp_path / "poses.txt").write_text(poses_text(5))
    poses = [image.pose for image in open_source(str(tmp_path))]
    assert [pose[0, 3] for pose in poses if pose is not None] == [0, 2, 4]


@pytest.mark.parametrize("rows", [2, 4])
def test_rows_that_fit_no_image_are_refused(tmp_path: Path, rows: int) -> None:
    for name in ("image_0", "image_1"):
        write_side(tmp_path / name, ["000003.png", "000004.png", "000005.png"])
    (tmp_path / "poses.txt").write_text(poses_text(rows))
    with pytest.raises(ValueError, match=rf"{rows} rows in '.*poses.txt' for 3 images: give one for each"):
        open_source(str(tmp_path))


def test_a_right_camera_on_the_left_is_refused(tmp_path: Path) -> None:
    (stereo_folder(tmp_path) / "calib.txt").write_text(f"P0: {P1}\nP1: {P0}")
    with pytest.raises(ValueError, match=r"row P1 of '.*calib.txt' is not a camera to the right of P0: swap them"):
        open_source(str(tmp_path))


YAML = """
image_width: {width}
image_height: {height}
camera_matrix: {{rows: 3, cols: 3, data: [50, 0, 3.5, 0, 50, 2.5, 0, 0, 1]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}}
rectification_matrix: {{rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}}
projection_matrix: {{rows: 3, cols: 4, data: [50, 0, 3.5, {offset}, 0, 50, 2.5, 0, 0, 0, 1, 0]}}
"""


@pytest.mark.parametrize(("left", "right"), [("left.yaml", "right.yaml"), ("cam0.yml", "cam1.yml")])
def test_yaml_files_beside_the_folders_calibrate_them(tmp_path: Path, left: str, right: str) -> None:
    stereo_folder(tmp_path, "cam0", "cam1")
    (tmp_path / left).write_text(YAML.format(width=WIDTH, height=HEIGHT, offset=0))
    (tmp_path / right).write_text(YAML.format(width=WIDTH, height=HEIGHT, offset=-25))
    image = next(iter(open_source(str(tmp_path))))
    assert image.camera is not None and image.right is not None and image.right.camera is not None
    assert StereoGeometry(image.camera, image.right.camera).baseline == 0.5
    assert image.camera.distortion[0] == 0.1


def test_images_of_another_size_have_no_calibration_and_say_why(tmp_path: Path) -> None:
    stereo_folder(tmp_path)
    (tmp_path / "calib.txt").write_text(f"{P0}\n{P1}")
    cv2.imwrite(str(tmp_path / "image_0" / "000001.png"), np.zeros((12, 16), np.uint8))
    image = list(open_source(str(tmp_path)))[1]
    assert image.camera is None
    assert image.camera_problem.startswith("the calibration is for 8x6 pixels, the image has 16x12: give all images")


def test_one_common_name_does_not_hide_the_pairs(tmp_path: Path) -> None:
    for side in ("left", "right"):
        write_images(tmp_path / side, [f"{side}_{index}.png" for index in range(5)] + ["mask.png"])
    pairs = list(open_source(str(tmp_path)))
    assert len([pair for pair in pairs if pair.right is not None]) == 6


def test_rows_of_images_numbered_from_one_are_not_guessed(tmp_path: Path) -> None:
    write_images(tmp_path / "left", [f"{index}.png" for index in (1, 2, 3)])
    write_images(tmp_path / "right", [f"{index}.png" for index in (1, 2, 3)])
    (tmp_path / "poses.txt").write_text("\n".join(f"1 0 0 {index} 0 1 0 0 0 0 1 0" for index in range(4)))
    with pytest.raises(ValueError, match=r"4 rows in .*poses.txt' for 3 images: give one for each"):
        open_source(str(tmp_path))


def sensor(offset: float, mounted: bool = True) -> str:
    """The calibration of a camera in EuRoC's format, `offset` metres to the right in the body."""
    where = [1, 0, 0, offset, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    return (
        (f"T_BS: {{cols: 4, rows: 4, data: {where}}}\n" if mounted else "")
        + f"resolution: [{WIDTH}, {HEIGHT}]\ncamera_model: pinhole\nintrinsics: [50, 50, 3.5, 2.5]\n"
        + "distortion_model: radial-tangential\ndistortion_coefficients: [0, 0, 0, 0]\n"
    )


def chain(camera: int) -> str:
    """The calibration of a camera in a file of kalibr; camera 1 stands half a metre to the right of camera 0."""
    moved = "  T_cn_cnm1: [[1, 0, 0, -0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]\n" if camera else ""
    return (
        f"cam{camera}:\n{moved}  camera_model: pinhole\n  intrinsics: [50, 50, 3.5, 2.5]\n"
        f"  distortion_model: radtan\n  distortion_coeffs: [0, 0, 0, 0]\n  resolution: [{WIDTH}, {HEIGHT}]\n"
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [(sensor(0.1), sensor(0.6)), (chain(0), chain(1)), (chain(0) + chain(1), chain(0) + chain(1))],
    ids=["euroc", "kalibr", "one-file-of-kalibr"],
)
@pytest.mark.parametrize("names", [("left", "right"), ("cam0", "cam1")])
def test_the_motion_between_two_cameras_makes_them_a_pair(
    tmp_path: Path, names: tuple[str, str], left: str, right: str
) -> None:
    stereo_folder(tmp_path, "cam0", "cam1")
    (tmp_path / f"{names[0]}.yaml").write_text(left)
    (tmp_path / f"{names[1]}.yaml").write_text(right)
    image = next(iter(open_source(str(tmp_path))))
    assert image.camera is not None and image.right is not None and image.right.camera is not None
    assert StereoGeometry(image.camera, image.right.camera).baseline == pytest.approx(0.5)


def test_cameras_without_a_motion_are_said_to_be_no_pair(tmp_path: Path) -> None:
    stereo_folder(tmp_path, "cam0", "cam1")
    for camera in range(2):
        (tmp_path / f"cam{camera}.yaml").write_text(sensor(0, mounted=False))
    assert "the cameras are no calibrated pair: their files need T_BS, or T_cn_cnm1" in open_source(str(tmp_path)).about


@pytest.mark.parametrize("tool", ["euroc", "camera_calibration"])
def test_swapped_calibrations_are_refused_by_their_files(tmp_path: Path, tool: str) -> None:
    stereo_folder(tmp_path, "left", "right")
    by_camera_calibration = (YAML.format(width=WIDTH, height=HEIGHT, offset=offset) for offset in (0, 25))
    left, right = (sensor(0.5), sensor(0)) if tool == "euroc" else by_camera_calibration
    (tmp_path / "left.yaml").write_text(left)
    (tmp_path / "right.yaml").write_text(right)
    with pytest.raises(ValueError, match=r"left.yaml' and '.*right.yaml' put the right camera on the left") as raised:
        open_source(str(tmp_path))
    assert "camera_info" not in str(raised.value)


@pytest.mark.parametrize(("present", "lacking"), [("left.yaml", "right.yaml"), ("right.yml", "left.yml")])
def test_one_calibration_alone_is_not_used_and_said(tmp_path: Path, present: str, lacking: str) -> None:
    stereo_folder(tmp_path, "left", "right")
    (tmp_path / present).write_text(sensor(0))
    source = open_source(str(tmp_path))
    assert f"'{present}' is not used: add '{lacking}', the calibration of the other camera" in source.about
    assert next(iter(source)).camera is None


def test_rows_that_are_taken_by_number_are_said(tmp_path: Path) -> None:
    for name in ("image_0", "image_1"):
        write_side(tmp_path / name, ["000005.png", "000006.png"])
    (tmp_path / "poses.txt").write_text(poses_text(10))
    about = open_source(str(tmp_path)).about
    assert "rows of 'poses.txt' belong to the images by number, from 0: row 5 to '000005.png'" in about
    (tmp_path / "poses.txt").write_text(poses_text(2))
    assert "rows of" not in open_source(str(tmp_path)).about
