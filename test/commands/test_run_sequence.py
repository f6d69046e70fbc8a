"""The command: what it writes is tested in test_colmap.py and ros/test_feature_bag.py."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.commands.run_sequence import main, parse

SMALL = ["--max-keypoints", "200", "--scale", "1"]


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
    assert "3 images, 2 of 2 pairs verified" in capsys.readouterr().out
    database = pycolmap.Database.open(output / "database.db")
    points, rows = [database.read_keypoints(image)[:, :2] for image in (1, 2)], database.read_matches(1, 2)
    shifts = points[0][rows[:, 0]] - points[1][rows[:, 1]]
    assert len(points[0]) == 200 and (np.median(shifts, axis=0) == (4, 0)).all()
    database.close()
    assert main([*arguments, *SMALL]) == 1
    assert "choose another folder" in capsys.readouterr().err


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
