from __future__ import annotations

import numpy as np
import pytest

from silk_ros import Features, Matches
from training.binary_pairs import DescriptorPair

SHIFT = np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]], float)


def features(points: list[list[float]]) -> Features:
    return Features(np.array(points, np.float32), np.zeros(len(points)), np.eye(len(points), 4))


def pair(pixel: float = 1.0) -> DescriptorPair:
    a = features([[0, 0], [0.4, 0], [50, 50], [90, 9]])
    b = features([[100, 9.9], [60, 51.1], [10.1, 0], [12.05, 0]])
    return DescriptorPair.of(a, b, SHIFT, pixel)


def test_same_points_are_close_and_one_to_one() -> None:
    # The second point of a is farther from b's third than the first one is; the third is 1.1 px off.
    assert pair().same.tolist() == [[0, 2], [3, 0]]
    assert [2, 1] in pair(pixel=2).same.tolist()


def test_points_beside_the_same_one_are_not_others() -> None:
    found = pair()
    # b's last is 2.05 px from where the first point of a is; a's second is .3 px from b's third.
    assert found.other_b.tolist() == [[True, True, False, True], [False, True, True, True]]
    assert found.other_a.tolist() == [[False, False, True, True], [True, True, True, False]]
    assert not pair(pixel=2).other_b[0, 3]


def test_recall_counts_the_same_points() -> None:
    found = pair()
    assert found.recall(Matches(np.array([[0, 2], [1, 1], [3, 3]]), np.ones(3))) == 0.5
    assert found.recall(Matches.empty()) == 0


@pytest.mark.parametrize("pixel", [1.0, 2.0])
def test_views_without_a_common_point_give_an_empty_pair(pixel: float) -> None:
    far = np.array([[1, 0, 500], [0, 1, 0], [0, 0, 1]], float)
    found = DescriptorPair.of(features([[0, 0]]), features([[0, 0]]), far, pixel)
    assert len(found.same) == 0 and found.other_a.shape == (0, 1)
