"""The layouts of published data sets: what is found in each, and what is said of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from layouts import (
    BASELINE,
    COUNT,
    FOCAL,
    RATE,
    SIZE,
    STEP,
    VGA,
    WRITERS,
    mounted,
    numbered,
    pose,
    row,
    stamp,
    turned,
    view,
    write_euroc,
    write_images,
    write_kitti,
    write_kitti_raw,
    write_seven_scenes,
    write_stereo,
    write_tum,
)

from silk_ros.geometry.stereo_geometry import StereoGeometry
from silk_ros.images.folders import find_layout
from silk_ros.images.layouts.pairing import nearest
from silk_ros.images.source import SourceImage
from silk_ros.images.sources import open_source

POSED = [kind for kind in WRITERS if kind.startswith(("KITTI odometry", "EuRoC", "TUM", "7-Scenes"))]
STEREO = [kind for kind in WRITERS if kind.startswith(("KITTI", "EuRoC", "stereo"))]


def read(folder: Path) -> list[SourceImage]:
    return list(open_source(str(folder)))


def check_views(images: list[SourceImage], size: tuple[int, int] = SIZE) -> None:
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image.gray(), view(index, size=size))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_layout_is_recognised_and_named(tmp_path: Path, kind: str) -> None:
    folder = WRITERS[kind](tmp_path)
    source = open_source(str(folder))
    assert f": {kind}: {COUNT} " in source.about
    assert source.rate == pytest.approx(RATE, rel=1e-4)
    images = list(source)
    assert len(images) == COUNT
    assert source.stereo == (kind in STEREO) == all(image.right is not None for image in images)
    check_views(images, VGA if images[0].width == 640 else SIZE)
    for index, image in enumerate(images):
        if image.right is not None:
            np.testing.assert_array_equal(image.right.gray(), view(index, right=True))


@pytest.mark.parametrize("kind", POSED)
def test_poses_are_those_of_the_left_camera(tmp_path: Path, kind: str) -> None:
    for index, image in enumerate(read(WRITERS[kind](tmp_path))):
        assert image.pose is not None
        np.testing.assert_allclose(image.pose, pose(index), atol=1e-4)


def check_pair(image: SourceImage, baseline: float = BASELINE) -> None:
    assert image.camera is not None and image.right is not None and image.right.camera is not None
    assert StereoGeometry(image.camera, image.right.camera).baseline == pytest.approx(baseline)


@pytest.mark.parametrize(
    ("cameras", "used"),
    [((0, 1, 2, 3), "image_0, image_1"), ((2, 3), "image_2, image_3"), ((0, 2, 3), "image_2, image_3")],
)
def test_a_pair_of_kitti_is_the_grey_one_if_there_is_one(tmp_path: Path, cameras: tuple[int, ...], used: str) -> None:
    source = open_source(str(write_kitti(tmp_path, cameras)))
    assert used in source.about
    for index, image in enumerate(source):
        check_pair(image)
        assert image.camera is not None and image.camera.projection[0, 3] == 0
        left = np.eye(4)
        left[0, 3] = -0.06 if used.startswith("image_2") else 0.0
        assert image.pose is not None
        np.testing.assert_allclose(image.pose, pose(index) @ left)


@pytest.mark.parametrize("camera", [0, 2])
def test_one_camera_of_kitti_is_known_alone(tmp_path: Path, camera: int) -> None:
    folder = write_kitti(tmp_path, (camera,))
    for given in (folder, folder / f"image_{camera}"):
        image = read(given)[1]
        assert image.right is None and image.camera is not None and image.pose is not None
        assert image.stamp == 10**9 + 10**8
        assert image.pose[0, 3] == pytest.approx(STEP - 0.06 * (camera == 2))


def test_kitti_s_text_files_may_be_missing(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path)
    for file in folder.glob("*.txt"):
        file.unlink()
    source = open_source(str(folder))
    assert "4 stereo pairs, no calibration, no stamps, no poses" in source.about
    assert {(image.camera, image.pose, image.stamp) for image in source} == {(None, None, None)}


def test_poses_stand_where_kitti_publishes_them(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path / "dataset/sequences/00")
    (tmp_path / "dataset/poses").mkdir()
    (folder / "poses.txt").rename(tmp_path / "dataset/poses/00.txt")
    assert all(image.pose is not None for image in read(folder))


@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize(("cameras", "used"), [((0, 1, 2, 3), "image_00, image_01"), ((2, 3), "image_02, image_03")])
def test_kitti_raw_is_calibrated_by_the_date(
    tmp_path: Path, cameras: tuple[int, ...], used: str, rectified: bool
) -> None:
    source = open_source(str(write_kitti_raw(tmp_path, cameras, rectified)))
    assert f"KITTI raw ({used})" in source.about
    images = list(source)
    check_pair(images[0])
    assert images[0].camera is not None and images[0].camera.distortion.any() == (not rectified)
    assert images[1].stamp == 1317042145_100000000


def test_distorted_kitti_raw_has_the_rotation_of_each_camera(tmp_path: Path) -> None:
    image = read(write_kitti_raw(tmp_path, rectified=False))[0]
    assert image.camera is not None and image.right is not None and image.right.camera is not None
    np.testing.assert_allclose(image.camera.rectification, turned(0.01), atol=1e-6)
    np.testing.assert_allclose(image.right.camera.rectification, turned(0.02), atol=1e-6)


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("fraction", "nanoseconds"), [("", 0), (".5", 500_000_000), (".000000007", 7), (".25000000", 250_000_000)]
)
def test_stamps_of_kitti_raw_are_utc_with_any_number_of_decimals(
    tmp_path: Path, far_east: None, fraction: str, nanoseconds: int
) -> None:
    drive = write_kitti_raw(tmp_path)
    times = [f"2011-09-26 13:02:2{5 + index}{fraction}" for index in range(COUNT)]
    (drive / "image_00/timestamps.txt").write_text("\n".join(times))
    assert [image.stamp for image in read(drive)] == [
        (1317042145 + index) * 10**9 + nanoseconds for index in range(COUNT)
    ]


@pytest.mark.parametrize("inside", ["image_02", "image_02/data"])
def test_one_camera_of_kitti_raw_is_known_alone(tmp_path: Path, inside: str) -> None:
    image = read(write_kitti_raw(tmp_path, (0, 1, 2, 3)) / inside)[1]
    assert image.right is None and image.camera is not None and image.stamp is not None
    assert image.camera.projection[0, 3] == 0


def test_kitti_raw_of_another_size_has_no_calibration_and_says_why(tmp_path: Path) -> None:
    drive = write_kitti_raw(tmp_path)
    for folder in drive.glob("*/data"):
        write_images(folder, numbered(digits=10), size=(100, 80))
    source = open_source(str(drive))
    assert next(iter(source)).camera is None
    assert "no calibration" in source.about and "; the images have 100x80 pixels, '" in source.about


@pytest.mark.parametrize("inside", ["", "mav0"])
def test_euroc_is_known_by_each_of_its_folders(tmp_path: Path, inside: str) -> None:
    for index, image in enumerate(read(write_euroc(tmp_path) / inside)):
        check_pair(image)
        assert image.stamp == stamp(index)


def test_the_current_folder_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_euroc(tmp_path) / "mav0/cam1")
    source = open_source(".")
    assert "EuRoC (cam1)" in source.about and not source.stereo


@pytest.mark.parametrize(("inside", "right"), [("mav0/cam0", False), ("mav0/cam1/data", True)])
def test_one_camera_of_euroc_is_known_alone(tmp_path: Path, inside: str, right: bool) -> None:
    for index, image in enumerate(read(write_euroc(tmp_path) / inside)):
        assert image.right is None and image.camera is not None and image.stamp == stamp(index)
        assert image.camera.matrix[0, 0] == FOCAL and image.camera.distortion[0] == -0.28
        assert image.pose is not None
        np.testing.assert_allclose(image.pose[:3, 3], [STEP * index + BASELINE * right, 0, 0], atol=1e-4)


@pytest.mark.parametrize("model", ["radial-tangential", "equidistant"])
def test_a_point_is_in_one_row_of_a_rectified_pair(tmp_path: Path, model: str) -> None:
    """Even though the right camera is turned against the left one."""
    folder = write_euroc(tmp_path, model=model)
    file = folder / "mav0/cam1/sensor.yaml"
    turn = np.eye(4)
    turn[:3, :3] = turned(0.05)
    in_body = mounted(BASELINE) @ turn
    values = yaml.safe_load(file.read_text())
    values["T_BS"]["data"] = in_body.ravel().tolist()
    file.write_text(yaml.safe_dump(values))
    image = read(folder)[0]
    assert image.camera is not None and image.right is not None and image.right.camera is not None
    geometry = StereoGeometry(image.camera, image.right.camera)
    assert geometry.baseline == pytest.approx(BASELINE)
    points = np.random.default_rng(0).uniform([-1, -1, 3], [1, 1, 6], (50, 3))
    seen = points @ np.linalg.inv(np.linalg.inv(mounted(0.0)) @ in_body)[:3, :3].T
    seen += np.linalg.inv(np.linalg.inv(mounted(0.0)) @ in_body)[:3, 3]
    left = geometry.rectify_left((points / points[:, 2:]).astype(np.float32))
    right = geometry.rectify_right((seen / seen[:, 2:]).astype(np.float32))
    np.testing.assert_allclose(left[:, 1], right[:, 1], atol=1e-3)
    found = geometry.points(left, left[:, 0] - right[:, 0])
    np.testing.assert_allclose(found, points, rtol=1e-3, atol=1e-3)


def test_tum_vi_has_its_calibration_in_a_file_of_kalibr(tmp_path: Path) -> None:
    folder = write_euroc(tmp_path, model="equidistant")
    chain = {}
    for camera in range(2):
        file = folder / f"mav0/cam{camera}/sensor.yaml"
        values = yaml.safe_load(file.read_text())
        file.unlink()
        chain[f"cam{camera}"] = {
            "T_cam_imu": np.linalg.inv(mounted(BASELINE * camera)).tolist(),
            "camera_model": "pinhole",
            "distortion_coeffs": values["distortion_coefficients"],
            "distortion_model": "equidistant",
            "intrinsics": values["intrinsics"],
            "resolution": values["resolution"],
        }
    (folder / "dso").mkdir()
    (folder / "dso/camchain.yaml").write_text(yaml.safe_dump(chain))
    (folder / "mav0/state_groundtruth_estimate0").rename(folder / "mav0/mocap0")
    for index, image in enumerate(read(folder)):
        check_pair(image)
        assert image.camera is not None and image.camera.model == "equidistant"
        assert image.pose is not None
        np.testing.assert_allclose(image.pose, pose(index), atol=1e-4)


def test_images_of_euroc_pair_by_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_euroc(tmp_path)
    right = folder / "mav0/cam1"
    rows = []
    for index, shift in enumerate((1_000_000, -2_000_000, 40_000_000, 0)):  # nanoseconds
        name = f"{stamp(index) + shift}.png"
        (right / "data" / f"{stamp(index)}.png").rename(right / "data" / name)
        rows.append(f"{stamp(index) + shift},{name}")
    (right / "data.csv").write_text("timestamp,filename\n" + "\n".join(rows))
    (folder / f"mav0/cam0/data/{stamp(3)}.png").unlink()
    images = read(folder)
    assert [image.stamp for image in images] == [stamp(0), stamp(1)]
    assert "2 images were read, 4 were left out" in caplog.messages[-1]
    assert "data.csv lists it, but there is no such file" in caplog.text
    for index, image in enumerate(images):
        assert image.right is not None
        np.testing.assert_array_equal(image.right.gray(), view(index, right=True))


def test_without_sensor_files_euroc_has_no_calibration_and_says_so(tmp_path: Path) -> None:
    folder = write_euroc(tmp_path)
    (folder / "mav0/cam0/sensor.yaml").unlink()
    (folder / "mav0/cam1/sensor.yaml").unlink()
    source = open_source(str(folder))
    assert "no calibration" in source.about and "cam0/sensor.yaml' is missing" in source.about
    assert next(iter(source)).right is not None


def test_without_the_right_sensor_file_the_left_calibration_and_the_poses_stay(tmp_path: Path) -> None:
    folder = write_euroc(tmp_path)
    (folder / "mav0/cam1/sensor.yaml").unlink()
    source = open_source(str(folder))
    assert "calibration of the left camera" in source.about and "4 poses" in source.about
    assert "cam1 is without calibration" in source.about and "T_BS" not in source.about
    image = next(iter(source))
    assert image.right is not None and image.right.camera is None
    assert image.camera is not None and image.camera.matrix[0, 0] == FOCAL


@pytest.mark.parametrize(
    ("name", "focal_length"), [("rgbd_dataset_freiburg2_xyz", 520.9), ("fr3_office", 535.4), ("my_desk", None)]
)
def test_the_calibration_of_tum_is_that_of_the_sensor_in_its_name(
    tmp_path: Path, name: str, focal_length: float | None
) -> None:
    source = open_source(str(write_tum(tmp_path, name)))
    camera = next(iter(source)).camera
    assert (None if camera is None else camera.matrix[0, 0]) == focal_length
    assert ("no calibration is known" if focal_length is None else "published one of freiburg") in source.about


def test_the_colour_folder_of_tum_is_the_sequence(tmp_path: Path) -> None:
    images = read(write_tum(tmp_path) / "rgb")
    check_views(images, VGA)
    assert images[1].stamp == pytest.approx(stamp(1), abs=1000) and images[1].pose is not None


def test_poses_are_taken_between_those_of_the_trajectory_and_not_across_its_gaps(tmp_path: Path) -> None:
    folder = write_tum(tmp_path)
    truth = folder / "groundtruth.txt"
    lines = [line for at, line in enumerate(truth.read_text().splitlines()) if at == 0 or at % 3 == 1 or at > 13]
    truth.write_text("\n".join(lines[:16]))
    poses = [image.pose for image in read(folder)]
    assert poses[-1] is None and poses[0] is not None and poses[1] is not None
    np.testing.assert_allclose([poses[0][0, 3], poses[1][0, 3]], [0, STEP], atol=1e-3)


def test_a_pose_that_the_tracker_lost_is_none(tmp_path: Path) -> None:
    folder = write_seven_scenes(tmp_path)
    (folder / "frame-000001.pose.txt").write_text(row(np.full((4, 4), np.nan)))
    (folder / "frame-000002.pose.txt").unlink()
    source = open_source(str(folder))
    assert [image.pose is not None for image in source] == [True, False, False, True]
    assert "2 images lack a pose, the first one that of frame-000001.pose.txt" in source.about


@pytest.mark.parametrize("write", [write_kitti, write_euroc, write_stereo])
def test_damage_and_hidden_files_change_nothing_else(
    write: Callable[[Path], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path)
    images = sorted(folder.glob("**/*.png"))[:COUNT]
    shutil.copy(images[1], images[1].with_name(f"._{images[1].name}"))
    images[1].write_bytes(images[1].read_bytes()[:-100])
    read_stamps = [image.gray().tobytes() for image in open_source(str(folder))]
    assert read_stamps == [view(index).tobytes() for index in (0, 2, 3)]
    assert "3 images were read, 1 was left out" in caplog.messages[-1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be-sig"])
@pytest.mark.parametrize("file", ["calib.txt", "poses.txt", "times.txt"])
def test_marks_of_encodings_and_line_ends_of_windows_are_understood(tmp_path: Path, file: str, encoding: str) -> None:
    folder = write_kitti(tmp_path)
    text = (folder / file).read_text().replace("\n", "\r\n")
    data = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-sig" else text.encode(encoding)
    (folder / file).write_bytes(data)
    images = read(folder)
    check_pair(images[0])
    assert images[1].pose is not None and images[1].pose[0, 3] == STEP and images[1].stamp == 10**9 + 10**8


TRUTH = "mav0/state_groundtruth_estimate0/data.csv"


@pytest.mark.parametrize(
    ("write", "file", "old", "new", "message"),
    [
        (write_kitti, "poses.txt", "0.1", "0,1", "line 2 of FILE has '0,1' for a number: write decimals with a point"),
        (write_kitti, "calib.txt", "159.5", "159,5", "line 1 of FILE has '159,5' for a number: write decimals with a"),
        (write_kitti, "times.txt", "1.0000", "1,0000", "line 2 of FILE has no time in column 1: write seconds"),
        (write_kitti, "poses.txt", "1 0 0 0.2", "0 1 0 0 0.2", "line 3 of FILE has 13 numbers, it needs 12"),
        (write_kitti, "poses.txt", "1 0 0 0.2", "0 0 0.2", "line 3 of FILE has 11 numbers, it needs 12"),
        (write_kitti_raw, "../calib_cam_to_cam.txt", "P_rect_01", "P_rekt_01", "FILE has no row P_rect_01"),
        (write_kitti_raw, "image_00/timestamps.txt", "25.1", "25,1", "line 2 of FILE is no time such as"),
        (write_euroc, "mav0/cam0/data.csv", ",14", ";14", "line 2 of FILE needs a time in nanoseconds, a comma"),
        (write_euroc, TRUTH, ",", ";", "line 2 of FILE has 0 numbers, it needs 7"),
        (write_euroc, TRUTH, ",0.5", ",0.9", "FILE: a pose is no position in metres with a quaternion of length 1"),
        (
            write_euroc,
            "mav0/cam0/sensor.yaml",
            "[300.0",
            "[300,0",
            "FILE: intrinsics has 5 numbers instead of 4",
        ),
        (write_euroc, "mav0/cam0/sensor.yaml", "pinhole", "omni", "FILE: the camera model 'omni' is not known"),
        (write_tum, "groundtruth.txt", "0 0 0 0 0 1", "0 0 0 0 0", "line 2 of FILE has 6 numbers, it needs 7"),
        (write_tum, "rgb.txt", " rgb", "rgb", "line 3 of FILE has no time in column 1"),
        (write_tum, "rgb.txt", " rgb", " RGB", "the file that 'rgb.txt' names does not exist"),
        (write_seven_scenes, "frame-000001.pose.txt", "1.0", "1,0", "line 1 of FILE has '1,0"),
    ],
)
def test_what_is_wrong_in_a_text_file_is_named_with_its_line(
    write: Callable[[Path], Path], file: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message.replace("FILE", f"'.*{Path(file).name}'")):
        read(folder)


@pytest.mark.parametrize("file", ["calib.txt", "poses.txt", "times.txt"])
@pytest.mark.parametrize(("data", "kind"), [(b"P0: 1\n# Kamera f\xfcr", "UTF-8"), (b"\xff\xfe1\0\n\0\0", "UTF-16")])
def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path, file: str, data: bytes, kind: str) -> None:
    folder = write_kitti(tmp_path)
    (folder / file).write_bytes(data)
    with pytest.raises(ValueError, match=rf"line 2 of '.*{file}' is not {kind} text: save the file as UTF-8"):
        open_source(str(folder))


def test_an_unknown_folder_lists_the_layouts_and_where_images_are(tmp_path: Path) -> None:
    write_images(tmp_path / "seq-01", ["1.png"])
    with pytest.raises(ValueError, match=r"EuRoC or .*KITTI raw .*7-Scenes .*images in its folders seq-01: name"):
        open_source(str(tmp_path))


def test_tum_images_without_a_time_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sequence = write_tum(tmp_path)
    images = sorted((sequence / "rgb").iterdir())
    (sequence / "rgb" / "9999999999.000000.png").write_bytes(images[0].read_bytes())
    assert len(list(open_source(str(sequence)))) == len(images)
    assert "9999999999.000000.png: left out: 'rgb.txt' does not name it" in caplog.text


@pytest.mark.parametrize(
    ("sensor", "published"),
    [
        ("1", (517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
        ("2", (520.9, 521.0, 325.1, 249.7, 0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
        ("3", (535.4, 539.2, 320.1, 247.6)),
    ],
)
def test_tum_has_the_published_calibrations(tmp_path: Path, sensor: str, published: tuple[float, ...]) -> None:
    sequence = write_tum(tmp_path, f"rgbd_dataset_freiburg{sensor}_desk")
    camera = next(iter(open_source(str(sequence)))).camera
    assert camera is not None
    np.testing.assert_array_equal(camera.matrix[[0, 1, 0, 1], [0, 1, 2, 2]], published[:4])
    np.testing.assert_array_equal(
        np.pad(camera.distortion, (0, 5 - len(camera.distortion))), [*published[4:], *[0] * 5][:5]
    )


def test_images_of_euroc_without_a_time_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_euroc(tmp_path)
    write_images(folder / "mav0/cam0/data", ["left.png"])
    assert len(read(folder)) == COUNT
    assert "cam0/left.png: left out: data.csv has no time for it: add its row" in caplog.text
    assert "4 images were read, 1 was left out" in caplog.messages[-1]


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_images_of_euroc_may_have_been_converted(tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str) -> None:
    folder = write_euroc(tmp_path)
    for camera in range(2):
        images = folder / f"mav0/cam{camera}/data"
        table = images.parent / "data.csv"
        for index in range(COUNT):  # names that are no times: only data.csv gives them
            (images / f"{stamp(index)}.png").unlink()
            table.write_text(table.read_text().replace(f"{stamp(index)}.png", f"image{index}.png"))
        write_images(images, [f"image{index}{suffix}" for index in range(COUNT)], camera == 1)
    assert [image.stamp for image in read(folder)] == [stamp(index) for index in range(COUNT)]
    assert not caplog.messages


def test_a_file_that_data_csv_lists_and_that_does_not_exist_is_named_with_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_euroc(tmp_path, (0,))
    (folder / f"mav0/cam0/data/{stamp(2)}.png").unlink()
    assert len(read(folder)) == COUNT - 1
    assert f"cam0/{stamp(2)}.png: left out: data.csv lists it, but there is no such file: copy it again" in caplog.text


@pytest.mark.parametrize(
    ("write", "right", "left"),
    [
        (write_kitti, "image_1", "image_0"),
        (write_kitti_raw, "image_01/data", "image_00/data"),
        (write_euroc, "mav0/cam1/data", "mav0/cam0"),
        (write_stereo, "right", "left"),
    ],
)
def test_an_empty_right_folder_is_refused_and_the_left_one_named(
    tmp_path: Path, write: Callable[[Path], Path], right: str, left: str
) -> None:
    folder = write(tmp_path)
    for file in (folder / right).iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=rf"no images '.*/{right}/.*to use .* alone, name '.*/{left}'"):
        open_source(str(folder))
    assert len(read(folder / left)) == COUNT


@pytest.mark.parametrize("text", ["", "# timestamp filename\n"])
def test_an_empty_index_of_tum_is_named(tmp_path: Path, text: str) -> None:
    folder = write_tum(tmp_path)
    (folder / "rgb.txt").write_text(text)
    with pytest.raises(ValueError, match=r"rgb.txt' names no images: copy the file again"):
        open_source(str(folder))


def test_depth_that_tum_lacks_is_said(tmp_path: Path) -> None:
    folder = write_tum(tmp_path)
    assert "lack depth" not in open_source(str(folder)).about
    first = sorted((folder / "depth").iterdir())[0]
    first.unlink()
    about = open_source(str(folder)).about
    assert f"1 files of 'depth.txt' do not exist, the first one '{first}'" in about
    assert "1 of 4 images lack depth" in about
    (folder / "depth.txt").unlink()
    assert "without depth: '" in open_source(str(folder)).about


@pytest.mark.parametrize(("shift", "lacking"), [(19_000, 0), (-19_000, 0), (21_000, 4)])
def test_depth_of_tum_is_that_of_its_moment(tmp_path: Path, shift: int, lacking: int) -> None:
    """shift: microseconds of the depth images."""
    folder = write_tum(tmp_path)
    rows = (line.split() for line in (folder / "depth.txt").read_text().splitlines() if line[0] != "#")
    (folder / "depth.txt").write_text("\n".join(f"{float(time) + shift / 1e6:.6f} {name}" for time, name in rows))
    layout = find_layout(folder)
    assert layout is not None and [frame.depth for frame in layout.frames].count(None) == lacking


def test_the_nearer_of_two_rivals_gets_the_other_image() -> None:
    for stamps, found in ([10, 14], [None, 0]), ([14, 10], [0, None]), ([16, 22], [0, None]), ([13, 16], [None, 0]):
        assert nearest(stamps, [15], 100) == found
    assert nearest([0, 100], [101, 1], 5) == [1, 0]
    assert nearest([0], [6], 5) == [None]


def test_two_formats_of_one_image_of_euroc_are_one_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_euroc(tmp_path)
    write_images(folder / "mav0/cam0/data", [f"{stamp(0)}.jpg"])
    assert [image.stamp for image in read(folder)] == [stamp(index) for index in range(COUNT)]
    assert f"cam0/{stamp(0)}.jpg: left out: data.csv lists another image of its time" in caplog.text


def test_a_chain_of_kalibr_needs_no_second_pose_in_the_body(tmp_path: Path) -> None:
    folder = write_euroc(tmp_path)
    chain = {}
    for camera in range(2):
        file = folder / f"mav0/cam{camera}/sensor.yaml"
        values = yaml.safe_load(file.read_text())
        file.unlink()
        chain[f"cam{camera}"] = {
            "distortion_coeffs": values["distortion_coefficients"],
            "distortion_model": "radtan",
            "intrinsics": values["intrinsics"],
            "resolution": values["resolution"],
        }
    motion = np.linalg.inv(mounted(BASELINE)) @ mounted(0.0)
    chain["cam0"]["T_cam_imu"] = np.linalg.inv(mounted(0.0)).tolist()
    chain["cam1"]["T_cn_cnm1"] = motion.tolist()
    (folder / "dso").mkdir()
    (folder / "dso/camchain.yaml").write_text(yaml.safe_dump(chain))
    for index, image in enumerate(read(folder)):
        check_pair(image)
        assert image.pose is not None
        np.testing.assert_allclose(image.pose, pose(index), atol=1e-4)
