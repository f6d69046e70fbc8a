"""The demo as a user runs it: processes over DDS."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import ROOT, picture

from silk_ros.backends import select_backend
from silk_ros.geometry.trajectory import read_tum
from silk_ros.paths import default_model


def run_demo(domain_id: int, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "silk_ros.ros.demo", "--domain", str(domain_id), "--timeout", "100"]
    command += ["--output", str(output), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def rows(output: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((output / "frames.csv").open()))


def test_demo_plays_each_image_of_the_flight_and_its_figures_repeat(domain_id: int, tmp_path: Path) -> None:
    fastest = select_backend("auto", "auto", default_model(), 10).name
    output, drifts, frames = tmp_path / "output", [], []
    for _ in range(2):
        result = run_demo(domain_id, output, "--max-images", "40")
        assert result.returncode == 0, result.stderr
        drift = re.search(
            r"\nodometry +drift ([\d.]+) % \(end position error in % of the path's [\d.]+ m", result.stdout
        )
        assert drift and "after aligning the scale); 40 poses, " in result.stdout
        drifts.append(float(drift[1]))
        frames.append(rows(output))
    for row in ("images", "latency", "keypoints", "matches", "correct", "odometry", "backend", "precision"):
        assert f"\n{row} " in result.stdout
    assert "40 images of 640x480, each played once" in result.stdout and f"{fastest} on CPU" in result.stdout
    assert "from the arrival of the image to that of its matches" in result.stdout
    assert re.search(r"\nthis machine follows a 640x480 camera at [\d.]+ Hz", result.stdout)
    assert re.search(r"\nwrote .*overlay.mp4.*; next: make demo SEQUENCE=", result.stdout)
    assert drifts[0] == pytest.approx(drifts[1], rel=0.05, abs=0.1) and drifts[0] < 60
    first, second = (np.array([[float(row[key]) for key in ("stamp", "matches")] for row in run]) for run in frames)
    assert first.shape == (40, 2)
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    np.testing.assert_allclose(first[1:, 1], second[1:, 1], rtol=0.05)
    stamps, poses = read_tum(output / "odometry.txt")
    np.testing.assert_allclose(np.diff(stamps), 0.1, atol=1e-6)
    assert len(stamps) == 40 and poses[0, 0, 3] == 0
    assert cv2.imread(str(output / "trajectory.png")).shape == (720, 720, 3)
    assert cv2.imread(str(output / "overlay.png")).shape == (480, 640, 3)
    video = cv2.VideoCapture(str(output / "overlay.mp4"))
    assert video.isOpened() and video.read()[1].shape == (480, 640, 3)


def test_the_demo_records_the_view(domain_id: int, tmp_path: Path) -> None:
    reason = "rerun-sdk is not installed: pip install 'silk_ros[view]'"
    reader = pytest.importorskip("rerun.chunk", reason=reason).RrdReader
    output = tmp_path / "output"
    result = run_demo(domain_id, output, "--max-images", "10", "--max-keypoints", "500", "--view", "file")
    assert result.returncode == 0, result.stderr
    assert "demo.rrd" in result.stdout
    entities = {chunk.entity_path for chunk in reader(str(output / "demo.rrd")).stream()}
    wanted = {"/world/camera/image", "/world/camera/image/tracks/lines", "/curves/latency", "/curves/matches"}
    assert wanted | {"/curves/keypoints", "/states/silk", "/states/odometry"} <= entities


def test_without_a_calibration_the_demo_says_how_to_give_one_and_nothing_old_stays(
    domain_id: int, tmp_path: Path, image_folder: Path
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "trajectory.png").write_bytes(b"of an earlier run")
    result = run_demo(domain_id, output, "--sequence", str(image_folder), "--max-keypoints", "500", "--scale", "1")
    assert result.returncode == 0, result.stderr
    assert "estimated epipolar geometry" in result.stdout
    assert "no pose: the source has no calibration: give --camera fx,fy,cx,cy" in result.stdout
    assert set(os.listdir(output)) == {"overlay.mp4", "overlay.png", "frames.csv"}
    assert set(os.listdir(tmp_path)) == {"output", "images"}
    frames = rows(output)
    assert len(frames) == 10 and {int(row["keypoints"]) for row in frames} == {500}
    assert min(int(row["matches"]) for row in frames[1:]) > 0


def test_a_folder_of_kitti_with_one_camera_and_numbers_for_its_calibration(domain_id: int, tmp_path: Path) -> None:
    (tmp_path / "00" / "image_0").mkdir(parents=True)
    for index in range(12):
        cv2.imwrite(str(tmp_path / "00" / "image_0" / f"{index:06d}.png"), picture(320, 240, shift=-index))
    camera = ["--camera", "200,200,159.5,119.5"]
    result = run_demo(domain_id, tmp_path / "output", "--sequence", str(tmp_path / "00"), *camera)
    assert result.returncode == 0, result.stderr
    assert "no pose: the camera did not move enough" in result.stdout
    assert "poses start after 15 pixels of parallax" in result.stdout
    assert (tmp_path / "output" / "camera.yaml").exists() and len(rows(tmp_path / "output")) == 12


def test_live_runs_for_some_seconds(domain_id: int, tmp_path: Path, image_folder: Path) -> None:
    live = ["--live", "--seconds", "5", "--rate", "5", "--max-keypoints", "500"]
    result = run_demo(domain_id, tmp_path / "output", "--sequence", str(image_folder), *live)
    assert result.returncode == 0, result.stderr
    for row in ("camera", "processed", "dropped images", "latency", "matches"):
        assert f"\n{row} " in result.stdout
    assert "from the stamp of the image to its matches" in result.stdout and "\n  5 s " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sequence", "/no/where"], "demo: no source '/no/where'"),
        (["--camera", "1,2,3"], "4 or 8 numbers"),
        (["--precision", "int8", "--model", __file__], "silk_node has ended with exit code 1; see the log above"),
    ],
)
def test_a_run_that_failed_to_start_writes_nothing(
    domain_id: int, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = run_demo(domain_id, tmp_path / "output", *arguments)
    assert result.returncode == 1 and said in result.stderr
    assert not os.listdir(tmp_path)
