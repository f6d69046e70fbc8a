from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor, Features
from silk_ros.selection import POOL, Selection, best_of_cells, local_best


def features(points: list[tuple[float, float]]) -> Features:
    """Best first; the first number of a descriptor is the row it had."""
    count = len(points)
    descriptors = np.zeros((count, 4))
    descriptors[:, 0] = np.arange(count)
    return Features(np.array(points).reshape(-1, 2), np.linspace(1, 0, count), descriptors)


def test_a_keypoint_beside_a_better_one_is_dropped() -> None:
    points = np.array([(10, 10), (13, 10), (14, 10), (10, 14), (50, 50), (53, 53)], np.float32)
    # 13 is 3 from 10; 14 is 4 from 10 but beside 13, which is better, whether or not that is kept.
    assert local_best(points, 3).tolist() == [True, False, False, True, True, False]
    assert local_best(points, 2).tolist() == [True, True, False, True, True, True]
    assert local_best(points[:0], 2).tolist() == []


def test_of_two_at_one_place_the_better_one_stays() -> None:
    assert local_best(np.zeros((3, 2), np.float32), 1).tolist() == [True, False, False]


def test_cells_keep_their_best() -> None:
    # Pixel areas: with cells of 10, pixel 9 is in the first and pixel 10 (which begins at 9.5) in the second.
    points = np.array([(0, 0), (9, 9), (10, 0), (5, 5), (9.4, 3), (12, 3)], np.float32)
    assert best_of_cells(points, 10, 1).tolist() == [True, False, True, False, False, False]
    assert best_of_cells(points, 10, 2).tolist() == [True, True, True, False, False, True]
    assert best_of_cells(points[:0], 10, 2).tolist() == []


def test_rules_are_applied_one_after_the_other_and_the_cap_last() -> None:
    given = features([(0, 0), (1, 0), (30, 30), (35, 35), (60, 60), (90, 0)])
    kept = Selection(nms_radius=2, cell_size=40, max_per_cell=2).apply(given, 3)
    assert kept.descriptors[:, 0].tolist() == [0, 2, 4]
    assert kept.keypoints.tolist() == [[0, 0], [30, 30], [60, 60]]
    assert (np.diff(kept.scores) <= 0).all()


@pytest.mark.parametrize(
    "rules",
    [
        {"nms_radius": -1},
        {"cell_size": 10},
        {"max_per_cell": 3},
        {"max_per_cell": -1},
        {"cell_size": float("nan"), "max_per_cell": 1},
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must not be negative|belong together"):
        Selection(**rules)  # type: ignore[arg-type]


def test_an_extractor_spreads_its_keypoints_over_more_of_the_image(photo: NDArray[np.uint8]) -> None:
    plain = Extractor.load(max_keypoints=300)(photo)
    spread = Extractor.load(max_keypoints=300, selection=Selection(cell_size=40, max_per_cell=10))
    assert (spread.max_keypoints, spread.backend.max_keypoints) == (300, POOL * 300)
    found = spread(photo)
    cells = lambda keypoints: np.unique(np.floor((keypoints + 0.5) / 40), axis=0, return_counts=True)[1]  # noqa: E731
    assert cells(found.keypoints).max() <= 10 < cells(plain.keypoints).max()
    assert len(cells(found.keypoints)) > len(cells(plain.keypoints))
    assert len(plain) == 300 and 200 < len(found) <= 300
