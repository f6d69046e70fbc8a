from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.tasks.odometry import evaluate_odometry
from silk_ros.geometry.trajectory import end_drift

OPTIONS = Options(pictures=1, runs=2)


def test_stereo_without_errors_has_no_drift(scene: Any) -> None:
    poses = scene.path(8)
    result = evaluate_odometry(scene.method, scene.kitti(poses), OPTIONS)
    row = result.overall["exact"]
    assert row["drift [%]"] < 0.1 and row["segment drift [%]"] < 0.1 and row["failures"] == 0
    assert row["ATE [m]"] < 0.002 and row["RPE [m]"] < 0.001 and row["RPE [°]"] < 0.02
    assert row["matches"] >= row["inliers"] > 50
    assert row["own disparity offset [px]"] == pytest.approx(0, abs=0.05)
    assert result.settings["shorter_edge"] == 480
    assert len(result.pictures) == 1 and list(result.curves[0].lines) == ["exact"]


def test_trajectories_start_at_the_true_pose(scene: Any) -> None:
    poses = scene.path(5)
    poses[:, :3, 3] += [7, 0, -3]
    result = evaluate_odometry(scene.method, scene.kitti(poses), OPTIONS)
    estimate, truth = result.details["trajectories"]["exact"], result.details["ground_truth"]
    assert len(estimate) == len(truth) == 5
    assert estimate[0] == pytest.approx([0, 7, 0, -3, 0, 0, 0, 1])
    np.testing.assert_allclose(np.array(truth)[:, 0], np.arange(5) / 10)
    np.testing.assert_allclose(np.array(truth)[:, 1:4], poses[:, :3, 3])
    np.testing.assert_allclose(estimate, truth, atol=0.01)


def test_a_pair_out_of_rectification_is_calibrated(scene: Any) -> None:
    folder = scene.kitti(scene.path(8), shift=1.5)
    result = evaluate_odometry(scene.method, folder, OPTIONS)
    row = result.overall["exact"]
    assert list(row)[-2:] == ["drift as calibrated [%]", "own disparity offset [px]"]
    assert row["own disparity offset [px]"] == pytest.approx(1.5, abs=0.05)
    assert row["drift as calibrated [%]"] > 2 > 0.2 > row["drift [%]"]
    assert result.details["as_calibrated"]["exact"]["drift [%]"] == row["drift as calibrated [%]"]
    assert result.settings["disparity offset (pixels)"] == "each method's own"


def test_one_offset_can_be_given_to_all(scene: Any) -> None:
    folder = scene.kitti(scene.path(8), shift=1.5)
    result = evaluate_odometry(scene.method, folder, replace(OPTIONS, disparity_offset=1.5))
    right = result.overall["exact"]
    wrong = evaluate_odometry(scene.method, folder, replace(OPTIONS, disparity_offset=0.5)).overall["exact"]
    assert right["drift [%]"] < 0.2 < wrong["drift [%]"] < right["drift as calibrated [%]"]
    assert wrong["own disparity offset [px]"] == right["own disparity offset [px]"]
    assert result.settings["disparity offset (pixels)"] == 1.5


def test_rgbd(scene: Any) -> None:
    result = evaluate_odometry(scene.method, scene.seven_scenes(scene.path(5)), OPTIONS)
    assert result.overall["exact"]["drift [%]"] < 1 and result.overall["exact"]["failures"] == 0
    assert result.settings["depth"] == "RGB-D" and "disparity offset (pixels)" not in result.settings
    assert "own disparity offset [px]" not in result.overall["exact"]


def test_motion_goes_on_where_no_pose_is_found(scene: Any) -> None:
    # Nothing is seen in the left image of frame 4 (the ninth written): the steps to and from it fail.
    method = replace(scene.method, blind=(8,))
    result = evaluate_odometry(method, scene.kitti(scene.path(8)), OPTIONS)
    assert result.overall["exact"]["failures"] == 2
    assert result.overall["exact"]["drift [%]"] < 0.5  # the motion of this path is always the same


def test_a_method_that_sees_nothing_stands_still(scene: Any) -> None:
    poses = scene.path(4)
    method = replace(scene.method, blind=range(8))
    row = evaluate_odometry(method, scene.kitti(poses), OPTIONS).overall["exact"]
    assert row["failures"] == 3 and row["inliers"] == row["matches"] == 0
    assert row["drift [%]"] == pytest.approx(end_drift(np.repeat(poses[:1], 4, axis=0), poses))


def test_one_camera_is_not_enough(scene: Any) -> None:
    with pytest.raises(DatasetError, match="neither a right camera nor depth"):
        evaluate_odometry(scene.method, scene.kitti(scene.path(3), stereo=False), OPTIONS)


def test_a_path_that_stands_still_has_no_drift_to_measure(scene: Any) -> None:
    with pytest.raises(DatasetError, match="do not move"):
        evaluate_odometry(scene.method, scene.kitti(scene.path(3, step=0, turn=0)), OPTIONS)
