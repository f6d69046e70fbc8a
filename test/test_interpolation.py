"""Descriptors between the places where the network gave them."""

from __future__ import annotations

import numpy as np
import pytest

from silk_ros import Features
from silk_ros.interpolation import interpolated

PIXEL = 2.0
GRID = np.float32([[10.5, 10.5], [12.5, 10.5], [10.5, 12.5], [40.5, 30.5]])


def features(*moves: tuple[int, float, float]) -> Features:
    """Keypoints on the grid, some of which have moved, with orthogonal descriptors."""
    keypoints = GRID.copy()
    for row, x, y in moves:
        keypoints[row] += np.float32([x, y])
    return Features(keypoints, np.ones(4, np.float32), np.eye(4, dtype=np.float32))


@pytest.mark.parametrize("row, x", [(0, 0.5), (1, -1.5)])
def test_descriptors_are_bilinear_in_those_around(row: int, x: float) -> None:
    """The same place has the same descriptor, whichever of its keypoints has it."""
    found = interpolated(features((row, x, 0)), GRID, PIXEL)
    expected = np.float32([0.75, 0.25, 0, 0])
    np.testing.assert_allclose(found.descriptors[row], expected / np.linalg.norm(expected), atol=1e-6)
    others = np.delete(np.arange(4), row)
    np.testing.assert_array_equal(found.descriptors[others], np.eye(4)[others])


def test_missing_neighbours_are_left_out() -> None:
    found = interpolated(features((0, 0.5, 0.5), (3, -0.5, 0)), GRID, PIXEL)
    expected = np.float32([9, 3, 3, 0])
    np.testing.assert_allclose(found.descriptors[0], expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_array_equal(found.descriptors[3], np.eye(4)[3])


def test_far_from_its_keypoints_a_position_keeps_its_descriptor() -> None:
    moved = features((3, 2.5, 1.0))
    np.testing.assert_array_equal(interpolated(moved, GRID, PIXEL).descriptors, np.eye(4))


def test_nothing_changes_where_nothing_has_moved() -> None:
    still = features()
    assert interpolated(still, GRID, PIXEL) is still
