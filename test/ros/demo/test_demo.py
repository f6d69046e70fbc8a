import csv
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from harness import ROOT

from silk_ros.backends import select_backend
from silk_ros.geometry.trajectory import read_tum
from silk_ros.paths import default_model
from silk_ros.ros.demo.report import slow_line


def run_demo(domain_id: int, output: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "silk_ros.ros.demo", "--seconds", "5", "--domain", str(domain_id)]
    command += ["--output", str(output), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_demo_measures_the_flight_and_leaves_pictures_and_numbers(domain_id: int, tmp_path: Path) -> None:
    fastest = select_backend("auto", "auto", default_model(), 10).name
    result = run_demo(domain_id, tmp_path)
    assert result.returncode == 0, result.stderr
    for row in ("camera", "processed", "latency stamp to matches", "keypoints", "matches", "dropped frames", "backend"):
        assert f"\n{row} " in result.stdout
    assert "true epipolar geometry" in result.stdout and f"{fastest} on CPU" in result.stdout
    drift = re.search(r"\nodometry +drift ([\d.]+) % of [\d.]+ m, up to scale; (\d+) poses", result.stdout)
    assert drift and 0 <= float(drift[1]) < 60 and int(drift[2]) >= 3
    stamps, poses = read_tum(tmp_path / "odometry.txt")
    assert len(stamps) >= int(drift[2]) and (np.diff(stamps) > 0).all() and poses[0, 0, 3] == 0
    assert cv2.imread(str(tmp_path / "trajectory.png")).shape == (720, 720, 3)
    rows = list(csv.DictReader((tmp_path / "frames.csv").open()))
    assert len(rows) >= 3 and all(int(row["keypoints"]) == 5000 for row in rows[1:])
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == (480, 640, 3)
    video = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert video.isOpened() and video.read()[1].shape == (480, 640, 3)


def test_demo_runs_on_a_folder_without_poses(domain_id: int, tmp_path: Path, image_folder: Path) -> None:
    result = run_demo(domain_id, tmp_path, "--sequence", str(image_folder))
    assert result.returncode == 0, result.stderr
    assert "estimated epipolar geometry" in result.stdout and "\nodometry " in result.stdout
    assert not (tmp_path / "trajectory.png").exists()
    matches = [int(row["matches"]) for row in csv.DictReader((tmp_path / "frames.csv").open())][1:]
    assert min(matches) > 0


@pytest.mark.parametrize(("dropped", "told"), [("11", True), ("10", False)])
def test_too_many_drops_are_told_with_the_command_that_helps(dropped: str, told: bool) -> None:
    monitor = SimpleNamespace(
        diagnostics={"silk": {"received_frames": "100", "dropped_frames": dropped}},
        image_stamps=[7 + index / 15 for index in range(100)],
        image_size=(640, 480),
    )
    line = slow_line(monitor, stereo=True)
    if told:
        assert line.startswith("11 of 100 images were dropped: this machine does not hold 15 Hz with these settings; ")
        assert "benchmark --rate 15 --size 640x480 --stereo' finds settings that it holds" in line
    else:
        assert line is None


def test_demo_without_a_source_fails_with_the_reason(domain_id: int, tmp_path: Path) -> None:
    result = run_demo(domain_id, tmp_path, "--sequence", "/no/where")
    assert result.returncode == 1 and "no source '/no/where'" in result.stderr
