import cv2
import numpy as np
import pytest

from silk_ros.geometry.epipolar import epipolar_distance, estimated_inliers, fundamental_from_poses

MATRIX = np.array([[400.0, 0, 319.5], [0, 400, 239.5], [0, 0, 1]])


def pose(rotation: list[float], position: list[float]) -> np.ndarray:
    transform = np.eye(4)
    transform[:3, :3] = cv2.Rodrigues(np.array(rotation, float))[0]
    transform[:3, 3] = position
    return transform


def project(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    in_camera = (points - camera[:3, 3]) @ camera[:3, :3]
    pixels = in_camera @ MATRIX.T
    return pixels[:, :2] / pixels[:, 2:]


@pytest.fixture
def views() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F, and the pixels of the same 100 points in a view and in the one before."""
    points = np.random.default_rng(0).uniform([-2, -2, 4], [2, 2, 8], (100, 3))
    now, before = pose([0.02, -0.05, 0.01], [0.3, 0.1, 0.2]), pose([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    return fundamental_from_poses(MATRIX, now, before), project(points, now), project(points, before)


def test_true_matches_lie_on_their_epipolar_lines(views: tuple[np.ndarray, ...]) -> None:
    assert epipolar_distance(*views).max() < 1e-9


def test_distance_is_in_pixels_across_the_line() -> None:
    sideways = fundamental_from_poses(MATRIX, pose([0, 0, 0], [1, 0, 0]), pose([0, 0, 0], [0, 0, 0]))  # lines are rows
    assert epipolar_distance(sideways, np.array([[50.0, 60.0]]), np.array([[90.0, 63.0]])) == pytest.approx([3.0])


def test_estimate_finds_the_matches_that_agree(views: tuple[np.ndarray, ...]) -> None:
    _, now, before = views
    wrong = np.arange(100) % 4 == 0
    now = now + wrong[:, None] * [[25.0, 40.0]] * np.random.default_rng(1).uniform(0.5, 1, (100, 1))
    found = estimated_inliers(now, before, 1.0)
    assert found[~wrong].mean() > 0.95 and found[wrong].mean() < 0.3


def test_too_few_matches_have_no_geometry() -> None:
    assert not estimated_inliers(np.zeros((7, 2)), np.zeros((7, 2)), 1.0).any()


def test_of_a_camera_that_stands_still_the_points_that_stay_agree() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 600, (300, 2))
    before = points + rng.normal(0, 0.02, points.shape)
    before[:30] += 50
    inliers = estimated_inliers(points, before, 1.5)
    assert not inliers[:30].any() and inliers[30:].all()
