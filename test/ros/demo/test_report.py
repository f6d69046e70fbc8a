from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from silk_ros.ros.demo.monitor import FrameRecord
from silk_ros.ros.demo.odometry_line import odometry_line
from silk_ros.ros.demo.report import correct_share, dropped_line, live_line, rate_line
from silk_ros.ros.demo.wording import hertz, share

NAN = float("nan")


def records(count: int, matches: int = 100, motion: float = 3.0, correct: float = NAN) -> list[FrameRecord]:
    return [FrameRecord(1 + index / 10, 50.0, 500, matches, correct, motion) for index in range(count)]


def monitor(**changes: Any) -> Any:
    values = dict(
        diagnostics={"silk": {}, "odometry": {"mode": "mono", "failures": "0"}},
        image_stamps=[7 + index / 15 for index in range(100)],
        answered=[3 + index / 20 for index in range(10)],
        image_size=(640, 480),
        records=records(10),
        odometry={},
        true_poses={},
        calibrated=True,
        stereo=False,
    )
    return SimpleNamespace(**values | changes)


@pytest.mark.parametrize(("dropped", "told"), [("11", True), ("10", False)])
def test_too_many_drops_make_the_figures_not_representative(dropped: str, told: bool) -> None:
    counts = {"silk": {"received_frames": "100", "dropped_frames": dropped}}
    line = dropped_line(monitor(diagnostics=counts, stereo=True))
    if told:
        assert line.startswith("these figures are not representative: 11 of 100 images were dropped")
        assert "does not follow 15 Hz" in line and "benchmark --rate 15 --size 640x480 --stereo'" in line
    else:
        assert line == ""


def test_rate_of_a_live_camera_and_the_command_that_raises_it() -> None:
    line = rate_line(monitor())
    assert line.startswith("this machine follows a 640x480 camera at 20 Hz; ")
    assert "benchmark --rate 30 --size 640x480' shows how to get there" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(calibrated=False), "the source has no calibration: give --camera fx,fy,cx,cy"),
        (dict(calibrated=False, stereo=True), "calib.txt with the rows P0 and P1"),
        (
            dict(diagnostics={"odometry": {"frames_of_another_size": "9", "last_error": "of another size"}}),
            "of another size",
        ),
        (dict(records=records(10, matches=3)), "tracks are lost, as 9 of 9 images have fewer than 50 matches"),
        (dict(records=records(3, motion=1.0)), "did not move enough, 2 pixels in 2 steps"),
        (dict(records=records(30, motion=9.0)), "without enough parallax"),
    ],
)
def test_one_cause_is_named_where_there_is_no_odometry(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    line = odometry_line(monitor(**changes), tmp_path)
    assert line.startswith("no pose: ") and said in line


def test_drift_is_defined_where_it_is_printed(tmp_path: Path) -> None:
    truth = {index: np.eye(4) for index in range(11)}
    for index, pose in truth.items():
        pose[0, 3] = index
    estimate = {index: pose.copy() for index, pose in truth.items()}
    estimate[10][1, 3] = 1.0
    values = {"odometry": {"mode": "stereo", "failures": "2"}}
    line = odometry_line(monitor(odometry=estimate, true_poses=truth, diagnostics=values), tmp_path)
    assert line == "drift 10.0 % (end position error in % of the path's 10.00 m); 11 poses, 2 of them guessed"
    assert (tmp_path / "trajectory.png").exists()
    line = odometry_line(monitor(odometry={1: np.eye(4)}), tmp_path)
    assert line == "1 pose, 0 of them guessed; drift unknown: the source has no true poses"


def test_unknown_shares_are_left_out() -> None:
    some = records(2, matches=300, correct=0.5) + records(1, matches=100, correct=0.9) + records(3, matches=0)
    assert correct_share(some) == pytest.approx((600 * 0.5 + 100 * 0.9) / 700)
    assert share(correct_share(records(3))) == "unknown" and share(0.5) == "50.0%"
    assert "correct" not in live_line("1 s", records(2)) and "50.0% correct" in live_line("1 s", some[:2])
    assert live_line("1 s", []) == "1 s  waiting for matches"


def test_numbers_read_like_text() -> None:
    assert [hertz(rate) for rate in (1070, 14.4, 9.25, 0.25)] == ["1070 Hz", "14 Hz", "9.2 Hz", "0.25 Hz"]
