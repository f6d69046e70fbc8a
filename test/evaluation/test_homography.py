import numpy as np
import pytest

from silk_ros.evaluation.homography import corner_error, repeatability, reprojection_error, warp_points

SHIFT = np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]], np.float64)


def test_error_of_matches_is_their_distance_from_the_warped_point() -> None:
    errors = reprojection_error(SHIFT, np.array([[0, 0], [5, 5]]), np.array([[10, 0], [18, 9]]))
    np.testing.assert_allclose(errors, [0, 5])


def test_repeatability_counts_both_ways_what_both_images_see() -> None:
    # Image 1 sees two keypoints of image 0, at (10, 5) and (30, 5); image 0 sees two of image 1, not (5, 5).
    # Within 0.5 px only (10, 5) repeats, both ways: 2 of 4. Within 1 px all do.
    points0 = np.array([[0, 5], [20, 5], [95, 5]])
    points1 = np.array([[10, 5], [31, 5], [5, 5]])
    assert repeatability(SHIFT, points0, points1, (100, 50), (100, 50), radius=0.5) == pytest.approx(2 / 4)
    assert repeatability(SHIFT, points0, points1, (100, 50), (100, 50), radius=1.0) == pytest.approx(4 / 4)


def test_repeatability_without_keypoints_is_zero() -> None:
    assert repeatability(SHIFT, np.empty((0, 2)), np.empty((0, 2)), (100, 50), (100, 50), 1.0) == 0


def test_corner_error_is_zero_for_perfect_matches_and_measures_a_shift() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (50, 2))
    assert corner_error(SHIFT, points, warp_points(SHIFT, points), (100, 100)) < 1e-6
    assert corner_error(np.eye(3), points, points + np.array([3, 4]), (100, 100)) == pytest.approx(5)


def test_too_few_matches_give_an_infinite_corner_error() -> None:
    assert corner_error(SHIFT, np.zeros((3, 2)), np.zeros((3, 2)), (100, 100)) == float("inf")
