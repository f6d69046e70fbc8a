"""The command: what it writes is tested in test_colmap.py and ros/test_feature_bag.py."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.commands.run_sequence import main, parse, read_settings

SMALL = ["--max-keypoints", "200", "--scale", "1"]


def write_recording(folder: Path, image: NDArray[np.uint8], delay: int) -> Path:
    """Pairs of images on /left/image_raw and /right/image_raw, the right stamps later by nanoseconds."""
    pytest.importorskip("rosbags")
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    kind = "sensor_msgs/msg/Image"
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = [writer.add_connection(f"/{side}/image_raw", kind, typestore=store) for side in ("left", "right")]
        for index in range(4):
            for topic, later in zip(topics, (0, delay)):
                stamp = 10**11 + index * 10**8 + later
                time = store.types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9))
                header = store.types["std_msgs/msg/Header"](time, "camera")
                height, width = image.shape
                message = store.types[kind](header, height, width, "mono8", 0, width, image.ravel())
                writer.write(topic, stamp, store.serialize_cdr(message, kind))
    return folder


@pytest.fixture
def folder(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """Three views of a photograph, each four pixels further right."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), photo[50:170, 4 * index : 4 * index + 160])
    return folder


def test_a_folder_becomes_a_colmap_database(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    output = tmp_path / "out"
    arguments = [str(folder), "--output", str(output), "--format", "colmap", "--camera", "150,150,79.5,59.5"]
    assert main([*arguments, "--window", "1", *SMALL]) == 0
    printed = capsys.readouterr()
    assert "3 images, 2 of 2 pairs verified" in printed.out
    assert f"wrote {output / 'database.db'}; next: mkdir {output / 'sparse'} && colmap mapper --" in printed.out
    assert "image 3 of 3 [" in printed.err and "pair 2 of 2 [" in printed.err and "0image" not in printed.err
    database = pycolmap.Database.open(output / "database.db")
    points, rows = [database.read_keypoints(image)[:, :2] for image in (1, 2)], database.read_matches(1, 2)
    shifts = points[0][rows[:, 0]] - points[1][rows[:, 1]]
    assert len(points[0]) == 200 and (np.median(shifts, axis=0) == (4, 0)).all()
    assert [database.read_image(number).name for number in (1, 2, 3)] == ["0.png", "1.png", "2.png"]
    database.close()
    assert (output / "images" / "1.png").read_bytes() == (folder / "1.png").read_bytes()


@pytest.mark.parametrize("kind", ["bag", "colmap"])
def test_an_existing_folder_is_refused_before_anything_is_read(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["nowhere", "--output", str(tmp_path), "--format", kind]) == 1
    assert capsys.readouterr().err == f"run_sequence: '{tmp_path}' exists: choose another folder\n"


def test_sub_folders_are_kept_and_shown_by_the_command_for_colmaps_viewer(
    tmp_path: Path, photo: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    for index in range(4):
        path = tmp_path / "images" / ("first", "then")[index // 2] / f"view {index % 2}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo[50:170, 4 * index : 4 * index + 160])
    output = tmp_path / "out"
    arguments = [str(tmp_path / "images" / "**" / "*"), "--output", str(output), "--format", "colmap", *SMALL]
    assert main(arguments) == 0
    database = pycolmap.Database.open(output / "database.db")
    names = [database.read_image(number).name for number in (1, 2, 3, 4)]
    database.close()
    assert names == ["first/view 0.png", "first/view 1.png", "then/view 0.png", "then/view 1.png"]
    assert all((output / "images" / name).is_file() for name in names)
    capsys.readouterr()
    assert main([str(tmp_path / "images"), "--output", str(tmp_path / "more"), "--format", "colmap"]) == 1
    assert f"or all as '{tmp_path / 'images' / '**/*'}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (["--max-keypoints", "90", "--set", "max_keypoints=50"], 50),
        (["--set", "max_keypoints=50", "--max-keypoints", "90"], 90),
    ],
)
def test_of_two_values_for_a_parameter_the_last_one_is_taken(given: list[str], number: int) -> None:
    options = parse(["flight", "--output", "out", "--format", "bag", *given])
    assert read_settings(options).network.max_keypoints == number


def test_a_preset_for_tracks_without_a_calibration_names_the_option(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rclpy")
    arguments = [str(folder), "--format", "bag", "--preset", "vins", *SMALL]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "warning: the bag gets no tracks, as the images have no calibration: give" in printed.err
    assert "image 3 of 3 [" in printed.err and f": ros2 bag play {tmp_path / 'out'}\n" in printed.out
    assert f"features and matches of 3 images\nwrote {tmp_path / 'out'}; next" in printed.out
    assert main([*arguments, "--camera", "150,150,79.5,59.5", "--output", str(tmp_path / "calibrated")]) == 0
    assert "no tracks" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "delay", "remedy"),  # delay in milliseconds
    [
        ([], 3, "--set stereo.sync=approximate"),
        (
            ["--set", "stereo.sync=approximate", "--set", "stereo.max_interval=0.001"],
            3,
            "--set stereo.max_interval=0.002",
        ),
        (["--set", "stereo.sync=approximate", "--set", "stereo.max_interval=0.7"], 5000, "stereo.max_interval=1 lets"),
        (
            ["--set", "stereo.sync=approximate", "--set", "stereo.max_interval=1.0"],
            5000,
            "do not belong together: give",
        ),
    ],
)
def test_pairs_of_other_stamps_name_the_parameter(
    more: list[str],
    delay: int,
    remedy: str,
    tmp_path: Path,
    photo: NDArray[np.uint8],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_recording(tmp_path / "drive", photo[50:170, :160], delay=delay * 10**6)
    arguments = [str(source), "--topic", "/left/image_raw", "--right-topic", "/right/image_raw", "--format", "bag"]
    pytest.importorskip("rclpy")
    assert main([*arguments, *more, "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("run_sequence: no image of") and remedy in error
    assert not (tmp_path / "out").exists()


def test_a_preset_and_a_mask_choose_the_keypoints_of_colmap(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    mask = np.full((120, 160), 255, np.uint8)
    mask[:, :80] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    arguments = ["--format", "colmap", "--preset", "orb_slam", "--set", f"mask_file={tmp_path / 'mask.png'}"]
    assert main([str(folder), "--output", str(tmp_path / "out"), *arguments, *SMALL]) == 0
    said = capsys.readouterr().err
    assert "orb_slam.yaml': not used here: descriptor_format (of messages: COLMAP stores no descriptors)" in said
    database = pycolmap.Database.open(tmp_path / "out" / "database.db")
    for image in (1, 2, 3):
        points = database.read_keypoints(image)[:, :2] - 0.5
        assert 20 < len(points) < 200 and (points.min(axis=0) > (79, 18)).all() and points[:, 0].max() < 141
    database.close()


def test_a_mask_of_another_size_than_the_first_image_is_an_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((60, 80), 255, np.uint8))
    arguments = ["--output", str(tmp_path / "out"), "--format", "bag", "--set", f"mask_file={tmp_path / 'mask.png'}"]
    assert main([str(folder), *arguments]) == 1
    assert "the mask is 80x60, but the images are 160x120: make it the size" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--format", "colmap"], "no source 'nowhere'"),
        (["nowhere", "--format", "bag"], "no source 'nowhere'"),
        (["flight", "--format", "bag", "--preset", "orbslam"], "no preset 'orbslam'"),
        (["flight", "--format", "bag", "--params", "nowhere.yaml"], "copy config/silk.yaml"),
        (["flight", "--format", "bag", "--rectified", "true"], "of the camera_info of a recording: leave it out"),
        (["flight", "--format", "bag", "--set", "stereo.sync=exact"], "give --topic and --right-topic"),
        (["flight", "--format", "bag", "--right-topic", "/right"], "is of a recording"),
        (["flight", "--format", "bag", "--set", "autostart=false"], "of a running node"),
        (["flight", "--format", "colmap", "--set", "descriptor_format=binary256"], "COLMAP stores no descriptors"),
        (["flight", "--format", "colmap", "--set", "refinement=none"], "one position for all of its pairs"),
        (["flight", "--format", "bag", "--set", "mask_file=nowhere.png"], "there is no mask"),
        (["flight", "--format", "bag", "--set", "roi.width=9999"], "is not inside an image of"),
        (["0", "--format", "bag"], "record it first"),
        (["flight", "--format", "bag", "--window", "10"], "leave out --window: only --format colmap uses that"),
        (["flight", "--format", "bag", "--loop", "2", "--map"], "leave out --loop and --map: only --format colmap"),
    ],
)
def test_mistakes_name_the_fix(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "colmap" in arguments:
        pytest.importorskip("pycolmap")
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "package", "loaded", "remedy"),
    [
        ("colmap", "pycolmap", "silk_ros.commands.colmap", "silk_ros[colmap]"),
        ("bag", "rclpy", "silk_ros.ros", "source its setup.bash"),
    ],
)
def test_what_is_not_installed_is_named(
    kind: str,
    package: str,
    loaded: str,
    remedy: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in sys.modules if name.startswith(loaded)]:
        monkeypatch.delitem(sys.modules, name)
    parent, _, last = loaded.rpartition(".")
    monkeypatch.delattr(sys.modules[parent], last, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert main([str(folder), "--output", str(tmp_path / "out"), "--format", kind, *SMALL]) == 1
    assert remedy in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--camera", "1,2,3"],
        ["--camera", "a,b,c,d"],
        ["--every", "0"],
        ["--window", "-1"],
        ["--rectified", "x"],
        ["--ratio", "2"],
    ],
)
def test_wrong_arguments_end_with_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["flight", *wrong, "--output", "out", "--format", "bag"])
    assert wrong[-1] in capsys.readouterr().err
