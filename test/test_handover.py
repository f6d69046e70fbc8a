"""Handing refined positions over to the keypoints nearest to them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.handover import LIMIT, handed_over, paired


def grid(columns: int, rows: int, pixel: float, corner: float = 0.5) -> NDArray[np.float32]:
    """The centres of the pixels of a network (columns * rows, 2), row by row."""
    y, x = np.mgrid[:rows, :columns]
    return (np.stack([x.ravel(), y.ravel()], axis=1) * pixel + corner).astype(np.float32)


def ages(*values: int) -> NDArray[np.uint32]:
    return np.array(values, np.uint32)


@pytest.mark.parametrize("rounding", [0.0, 0.5, -0.5], ids=["exact", "rounded up", "rounded down"])
def test_the_nearest_keypoint_within_the_limit_goes_on(rounding: float) -> None:
    """Also where the sides of the network's image were rounded, so that its pixels are not quite squares of `pixel`."""
    columns, pixel = 160, 2.0
    keypoints = grid(columns, 60, pixel * columns / (columns + rounding))
    rng = np.random.default_rng(0)
    keypoints = keypoints[rng.permutation(len(keypoints))[:3000]]
    points = rng.uniform(-20, 340, (900, 2)).astype(np.float32)
    distance = np.linalg.norm(points[:, None] - keypoints[None], axis=2)
    alone = (np.sort(distance, axis=0)[1] > 2 * LIMIT * pixel)[distance.argmin(axis=1)]
    rows = handed_over(points, keypoints, pixel, np.ones(len(points), np.uint32))
    some = rows >= 0
    assert (distance[some, rows[some]] <= LIMIT * pixel + 1e-4).all() and len(np.unique(rows[some])) == some.sum()
    near = distance.min(axis=1) <= LIMIT * pixel - 1e-4
    assert (alone & near).sum() > 20 and some[alone & near].all() and not some[distance.min(axis=1) > 3.001].any()
    np.testing.assert_array_equal(rows[alone & near], distance.argmin(axis=1)[alone & near])


def test_of_several_positions_the_oldest_track_has_the_nearest_keypoint() -> None:
    keypoints = grid(5, 5, 1.0, 0.0)
    middle, right = 12, 13
    points = np.float32([[2.1, 2], [2.3, 2]])
    np.testing.assert_array_equal(handed_over(points, keypoints, 1.0, ages(3, 3)), [middle, right])
    np.testing.assert_array_equal(handed_over(points, keypoints, 1.0, ages(3, 9))[1:], [middle])


def test_positions_without_a_keypoint_of_their_own_have_none() -> None:
    keypoints = np.float32([[4, 4], [20, 20]])
    points = np.float32([[4.5, 4], [4.2, 4], [20, 23], [40, 40]])
    np.testing.assert_array_equal(handed_over(points, keypoints, 2.0, ages(1, 1, 1, 1)), [-1, 0, 1, -1])
    np.testing.assert_array_equal(handed_over(points, keypoints, 2.0, ages(1, 1, 1, 1), np.array([1])), [-1, -1, 1, -1])


@pytest.mark.parametrize("points, keypoints", [(0, 3), (3, 0), (0, 0)])
def test_nothing_is_handed_over_to_nothing(points: int, keypoints: int) -> None:
    rows = handed_over(np.ones((points, 2), np.float32), grid(keypoints, 1, 2.0), 2.0, np.ones(points, np.uint32))
    assert rows.shape == (points,) and (keypoints or (rows == -1).all())


def test_pairs_are_matches_in_the_order_of_the_first_with_the_similarity_they_had() -> None:
    similarity = np.float32([0.9, 0.8, 0.7])
    matches = paired(np.array([[3, 3], [-1, 0], [1, 2]]), similarity, np.array([True, True, False]))
    np.testing.assert_array_equal(matches.indices, [[1, 2], [3, 3]])
    np.testing.assert_array_equal(matches.similarity, similarity[[2, 0]])
    np.testing.assert_array_equal(matches.refined, [False, True])
