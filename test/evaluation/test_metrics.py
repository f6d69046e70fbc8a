import numpy as np
import pytest

from silk_ros.evaluation.metrics import corner_error, recall_auc, repeatability, share_within
from silk_ros.geometry.homography import reprojection_error, warp_points

SHIFT = np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]], np.float64)
ZOOM = np.diag([2.0, 2, 1])
SIZE = (100, 50)


def test_error_of_matches_is_their_distance_from_the_warped_point() -> None:
    errors = reprojection_error(SHIFT, np.array([[0, 0], [5, 5]]), np.array([[10, 0], [18, 9]]))
    np.testing.assert_allclose(errors, [0, 5])


def test_accuracy_includes_its_threshold_and_is_zero_without_matches() -> None:
    assert share_within([0.5, 1.0 + 1e-12, 1.01, float("inf")], 1) == pytest.approx(2 / 4)
    assert share_within([], 1) == 0


def test_repeatability_counts_both_ways_what_both_images_see() -> None:
    # Image 1 sees two keypoints of image 0, at (10, 5) and (30, 5); image 0 sees two of image 1, not (5, 5).
    # Within 0.5 px only (10, 5) repeats, both ways: 2 of 4. Within 1 px all do.
    points0 = np.array([[0, 5], [20, 5], [95, 5]])
    points1 = np.array([[10, 5], [31, 5], [5, 5]])
    assert repeatability(SHIFT, points0, points1, SIZE, SIZE, radius=0.5) == pytest.approx(2 / 4)
    assert repeatability(SHIFT, points0, points1, SIZE, SIZE, radius=1.0) == pytest.approx(4 / 4)


def test_repeatability_weighs_keypoints_not_images() -> None:
    # One keypoint of image 0 repeats; of four in image 1, one does.
    points1 = np.array([[10, 5], [40, 5], [60, 5], [80, 5]])
    assert repeatability(SHIFT, np.array([[0, 5]]), points1, SIZE, SIZE, 1.0) == pytest.approx(2 / 5)


def test_repeatability_measures_in_the_pixels_of_the_image_looked_at() -> None:
    # (10, 10) falls on (20, 20), 2 px from (22, 20); the way back, (22, 20) falls on (11, 10), 1 px from (10, 10).
    points = np.array([[10, 10]]), np.array([[22, 20]])
    assert repeatability(ZOOM, *points, SIZE, SIZE, 0.9) == 0
    assert repeatability(ZOOM, *points, SIZE, SIZE, 1.0) == pytest.approx(1 / 2)
    assert repeatability(ZOOM, *points, SIZE, SIZE, 2.0) == 1


def test_a_keypoint_that_only_one_image_sees_repeats_nothing() -> None:
    # (9.5, 5) of image 1 is at (-0.5, 5) of image 0, half a pixel beyond its edge.
    points = np.array([[0, 5]]), np.array([[9.5, 5]])
    assert repeatability(SHIFT, *points, SIZE, SIZE, 1.0) == 0


def test_pixels_on_the_edge_are_seen() -> None:
    points = np.array([[0, 0], [89, 49]])
    assert repeatability(SHIFT, points, warp_points(SHIFT, points), SIZE, SIZE, 0.1) == 1


@pytest.mark.parametrize(("count0", "count1"), [(0, 0), (0, 3), (3, 0)])
def test_repeatability_without_keypoints_is_zero(count0: int, count1: int) -> None:
    points = np.array([[20, 5], [30, 5], [40, 5]])
    assert repeatability(SHIFT, points[:count0], points[:count1], SIZE, SIZE, 1.0) == 0


def test_keypoints_at_one_place_all_repeat() -> None:
    points = np.array([[20, 5], [20, 5], [20, 5]])
    assert repeatability(np.eye(3), points, points, SIZE, SIZE, 0.0) == 1


def test_corner_error_is_zero_for_perfect_matches_and_measures_a_shift() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (50, 2))
    assert corner_error(SHIFT, points, warp_points(SHIFT, points), (100, 100)) < 1e-6
    assert corner_error(np.eye(3), points, points + np.array([3, 4]), (100, 100)) == pytest.approx(5)


@pytest.mark.parametrize(
    "points", [np.zeros((3, 2)), np.zeros((9, 2)), np.arange(20.0).reshape(-1, 1).repeat(2, axis=1)]
)
def test_too_few_matches_and_degenerate_ones_give_an_infinite_or_large_corner_error(points: np.ndarray) -> None:
    assert corner_error(SHIFT, points, points, (100, 100)) > 3


def test_auc_is_the_area_below_the_recall_curve() -> None:
    # Recall rises to 1/2 at 0.5 px and stays there: (0.5 * 0.5 / 2 + 0.5 * 0.5) / 1.
    assert recall_auc([float("inf"), 0.5], 1) == pytest.approx(0.375)
    # To 1/3 at 1 px, 2/3 at 2 px: (1/6 + 1/2) / 2; the third error is beyond.
    assert recall_auc([3, 1, 2], 2) == pytest.approx(1 / 3)


def test_auc_of_perfect_failed_and_no_pairs() -> None:
    assert recall_auc([0, 0], 3) == 1
    assert recall_auc([float("inf"), 5], 3) == 0
    assert recall_auc([], 3) == 0
