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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--format", "colmap"], "no source 'nowhere'"),
        (["nowhere", "--format", "bag"], "no source 'nowhere'"),
        (["nowhere", "--format", "bag", "--ratio", "2"], "ratio must be between"),
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
    [["--camera", "1,2,3"], ["--camera", "a,b,c,d"], ["--every", "0"], ["--window", "-1"], ["--rectified", "x"]],
)
def test_wrong_arguments_end_with_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["flight", *wrong, "--output", "out", "--format", "bag"])
    assert wrong[-1] in capsys.readouterr().err
