"""The line that the odometry node prints when it stops."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from silk_ros.odometry.estimate import Estimate
from silk_ros.ros.odometry_summary import OdometrySummary


def estimate(x: float, problem: str = "") -> Estimate:
    pose = np.eye(4)
    pose[0, 3] = x
    return Estimate(0, pose, np.eye(4), 0.1, 0, 0, problem)


@pytest.fixture
def summary() -> OdometrySummary:
    return OdometrySummary()


def test_images_poses_and_the_path_are_told(summary: OdometrySummary) -> None:
    summary.images = 5
    for x in (0, 1, 3, 2.5):
        summary.add(estimate(x), "stereo")
    assert summary.text("running", None) == "5 images, 4 poses, a path of 3.50 m"
    told = summary.text("running", Path("poses.txt"))
    assert told == "5 images, 4 poses, a path of 3.50 m; the poses are in 'poses.txt'"


def test_guessed_motions_are_counted_by_their_reasons(summary: OdometrySummary) -> None:
    summary.images = 1
    for problem in ("only 3 of 90 tracks fit one motion", "no matches", "only 12 of 80 tracks fit one motion"):
        summary.add(estimate(0, problem), "mono")
    assert summary.text("running", None) == (
        "1 image, 3 poses, 3 with a guessed motion (2x only N of N tracks fit one motion, 1x no matches), "
        "a path of 0.00 up to an unknown scale"
    )


def test_metres_are_not_added_to_what_has_no_scale(summary: OdometrySummary) -> None:
    for x, mode in ((0, "mono"), (50, "mono"), (50, "stereo"), (51, "stereo")):
        summary.add(estimate(x), mode)
    assert "a path of 1.00 m" in summary.text("running", None)


def test_the_text_can_be_read_while_poses_are_added(summary: OdometrySummary) -> None:
    def add() -> None:
        for index in range(3000):
            summary.add(estimate(0, chr(200 + index)), "mono")

    adding = threading.Thread(target=add)
    adding.start()
    while adding.is_alive():
        summary.text("running", None)
    adding.join()
    assert ", 3,000 poses, 3,000 with a guessed motion" in summary.text("running", None)


def test_without_poses_the_state_says_why(summary: OdometrySummary) -> None:
    summary.images = 7
    told = summary.text("waiting for the camera to move", Path("poses.txt"))
    assert told == "no poses from 7 images: waiting for the camera to move"
