from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.datasets.posed import open_sequence
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.tasks.registry import merged
from silk_ros.evaluation.tasks.relative_pose import (
    choose_pairs,
    estimate_relative_pose,
    evaluate_relative_pose,
    pose_error,
)
from silk_ros.geometry.homography import project
from silk_ros.geometry.motion import motion_between, rotation_angle, transform

MATRIX = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])


def motion(degrees_about_y: float, translation: list[float]) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = cv2.Rodrigues(np.array([0, np.radians(degrees_about_y), 0]))[0]
    result[:3, 3] = translation
    return result


def test_pose_error_ignores_the_length_of_the_translation() -> None:
    assert pose_error(motion(10, [0, 0, 5]), motion(0, [0, 0, 1])) == pytest.approx((10, 0))
    assert pose_error(motion(0, [1, 0, 0]), motion(0, [0, 2, 0])) == pytest.approx((0, 90))
    assert pose_error(motion(0, [1, 0, 0]), motion(0, [-1, 0, 0])) == pytest.approx((0, 180))
    assert pose_error(None, motion(0, [1, 0, 0])) == (180, 180)


def test_estimate_finds_the_motion_among_wrong_matches() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-3, -2, 4], [3, 2, 9], (200, 3))
    true = motion(5, [-0.5, 0.1, 0.2])
    points0, points1 = project(MATRIX, points), project(MATRIX, transform(true, points))
    points1[:60] = rng.uniform([0, 0], [640, 480], (60, 2))
    found, inliers = estimate_relative_pose(points0, points1, MATRIX)
    assert max(pose_error(found, true)) < 0.5
    assert inliers[60:].mean() > 0.95 and inliers[:60].mean() < 0.2


def test_too_few_matches_give_no_pose() -> None:
    found, inliers = estimate_relative_pose(np.zeros((4, 2)), np.zeros((4, 2)), MATRIX)
    assert found is None and not inliers.any()


def test_pairs_keep_to_the_limits(scene: Any) -> None:
    # Steps of 4 cm and 4 degrees: 1 and 2 frames are below 10 cm, 10 and 20 frames beyond 30 degrees.
    sequence = open_sequence(scene.kitti(scene.path(30, step=0.04, turn=4), stereo=False))
    pairs = choose_pairs(sequence, max_pairs=8)
    assert len(pairs) == 8 and {second - first for first, second in pairs} == {5}
    for first, second in pairs:
        moved = motion_between(sequence.poses[first], sequence.poses[second])
        assert rotation_angle(moved) == pytest.approx(20) and np.linalg.norm(moved[:3, 3]) >= 0.1


def test_pairs_are_shared_among_the_gaps(scene: Any) -> None:
    pairs = choose_pairs(open_sequence(scene.kitti(scene.path(12), stereo=False)), max_pairs=9)
    assert np.bincount([second - first for first, second in pairs]).tolist() == [0, 2, 2, 0, 0, 2, 0, 0, 0, 0, 2]


def test_a_camera_that_stands_has_no_pairs(scene: Any) -> None:
    folder = scene.kitti(scene.path(3, step=0.0), stereo=False)
    with pytest.raises(DatasetError, match=r"no frames of .* move by 0\.1 m"):
        evaluate_relative_pose(scene.method, folder, Options())


def test_exact_matches_are_judged_perfect(scene: Any) -> None:
    folder = scene.kitti(scene.path(7), stereo=False)
    result = evaluate_relative_pose(scene.method, folder, Options(pictures=2, runs=2), max_pairs=9)
    row = result.overall["exact"]
    assert row["AUC@5"] > 0.98 and row["mAA"] == 1 and row["inliers"] > 0.99 and row["matches"] > 30
    assert row["rotation error [°]"] < 0.05 and row["translation error [°]"] < 0.2
    assert list(result.groups) == ["gap 1", "gap 2", "gap 5"]
    assert len(result.details["pairs"]["exact"]) == 2 * result.settings["pairs"] == 16
    assert len(result.pictures) == 2 and result.pictures[0].image.shape == (480, 1280, 3)
    thresholds, recall = result.curves[0].lines["exact"]
    assert recall[0] == 0 and recall[-1] == 1 and thresholds[-1] == 20


def test_methods_are_told_apart(scene: Any) -> None:
    folder = scene.kitti(scene.path(5), stereo=False)
    methods = [
        scene.method,
        replace(scene.method, name="half", wrong=0.5),
        replace(scene.method, name="blind", blind=range(5)),
    ]
    options = Options(pictures=1, runs=1)
    result = merged([evaluate_relative_pose(each, folder, options, max_pairs=4) for each in methods])
    inliers = [result.overall[name]["inliers"] for name in ("exact", "half", "blind")]
    assert inliers[0] > 0.95 > 0.7 > inliers[1] > 0.3 and inliers[2] == 0
    assert result.overall["blind"]["rotation error [°]"] == 180 and result.overall["blind"]["AUC@20"] == 0
    assert [picture.caption.split(",")[0] for picture in result.pictures] == ["exact", "half", "blind"]


def test_top_k_limits_the_keypoints(scene: Any) -> None:
    folder = scene.kitti(scene.path(3, turn=0.0), stereo=False)
    limited = evaluate_relative_pose(scene.method, folder, Options(top_k=50, pictures=0, runs=1))
    assert limited.overall["exact"]["matches"] <= 50
