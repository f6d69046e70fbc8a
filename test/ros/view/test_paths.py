"""The true path beside that of the odometry, and the landmarks that it has left behind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from silk_ros.ros.view.landmark_map import MOST_PAST, LandmarkMap
from silk_ros.ros.view.paths import MOST_POSES, Paths

WORLD = np.eye(4)
WORLD[:3, :3] = Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix()
WORLD[:3, 3] = 5, 6, 7


def pose(number: int) -> np.ndarray:
    """A camera on a curve."""
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_rotvec([0, 0, 0.01 * number]).as_matrix()
    moved[:3, 3] = number, 0.01 * number**2, 0
    return moved


def scaled(moved: np.ndarray, scale: float) -> np.ndarray:
    moved = moved.copy()
    moved[:3, 3] *= scale
    return moved


@pytest.mark.parametrize(("metric", "scale"), [(True, 1.0), (False, 3.0)])
def test_a_true_path_in_another_frame_lies_on_that_of_a_perfect_odometry(metric: bool, scale: float) -> None:
    paths = Paths()
    for number in range(50):
        paths.add_truth(number, WORLD @ scaled(pose(number), scale))
        if number >= 10:  # the start of mono takes a while
            paths.add_estimate(number, pose(number))
    np.testing.assert_allclose(paths.truth(metric), paths.estimate(), atol=1e-9)
    assert len(paths.estimate()) == 40


def test_in_metres_a_wrong_scale_of_the_odometry_is_seen() -> None:
    paths = Paths()
    for number in range(20):
        paths.add_truth(number, WORLD @ pose(number))
        paths.add_estimate(number, scaled(pose(number), 0.9))
    np.testing.assert_allclose(paths.truth(metric=True)[-1], pose(19)[:3, 3], atol=1e-9)


def test_there_is_no_true_path_without_true_poses_or_motion() -> None:
    paths = Paths()
    for number in range(5):
        paths.add_estimate(number, pose(number))
    assert paths.truth(metric=False).shape == (0, 3)
    for number in range(5):
        paths.add_truth(number, WORLD)
    assert paths.truth(metric=False).shape == (0, 3)


def test_long_paths_are_thinned_out_and_keep_their_ends() -> None:
    paths = Paths()
    for number in range(5 * MOST_POSES):
        paths.add_truth(number, WORLD @ pose(number))
        paths.add_estimate(number, pose(number))
    estimate = paths.estimate()
    assert MOST_POSES / 2 <= len(estimate) <= MOST_POSES and len(paths._truth) <= 2 * MOST_POSES
    np.testing.assert_array_equal(estimate[[0, -1], 0], [0, 5 * MOST_POSES - 1])
    np.testing.assert_allclose(paths.truth(metric=True), estimate, atol=1e-5)


def test_true_poses_without_an_odometry_are_bounded() -> None:
    paths = Paths()
    for number in range(10 * MOST_POSES):
        paths.add_truth(number, WORLD)
    assert len(paths._truth) <= 2 * MOST_POSES


def test_landmarks_that_are_left_behind_keep_their_last_position_and_the_oldest_are_forgotten() -> None:
    landmarks = LandmarkMap()
    ids = np.arange(100, dtype=np.uint32)
    landmarks.update(ids, np.zeros((100, 3)))
    landmarks.update(ids, np.ones((100, 3)))
    assert landmarks.past().shape == (0, 3)
    landmarks.update(ids[90:], np.full((10, 3), 2.0))
    np.testing.assert_array_equal(landmarks.past(), np.ones((90, 3)))
    for first in range(0, 2 * MOST_PAST, 100):
        landmarks.update(ids + 1000 + first, np.full((100, 3), float(first)))
    assert len(landmarks.past()) == MOST_PAST and landmarks.past().min() > 0
