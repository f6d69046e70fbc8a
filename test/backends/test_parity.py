from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.backends.base import Extracted
from silk_ros.backends.parity import FAR, TOLERANCES, Parity, common_keypoints, compare, photographs

POINTS = np.array([[3, 4], [10, 20], [30, 5], [7, 7]], np.float32)
AXES = np.eye(4, dtype=np.float32)
IMAGE = np.zeros((8, 8), np.uint8)


def giving(keypoints: NDArray[np.float32], descriptors: NDArray[np.float32]):
    def extract(_: NDArray[np.uint8]) -> Extracted:
        return keypoints, np.ones(len(keypoints), np.float32), descriptors

    return extract


def test_a_network_equals_itself() -> None:
    assert compare(giving(POINTS, AXES), giving(POINTS, AXES), [IMAGE, IMAGE]) == Parity(1, 1, 0)


def test_the_order_of_keypoints_does_not_matter() -> None:
    assert compare(giving(POINTS, AXES), giving(POINTS[::-1], AXES[::-1]), [IMAGE]) == Parity(1, 1, 0)


def test_figures_are_those_computed_by_hand() -> None:
    moved = POINTS.copy()
    moved[1] += (0.9, 1.2)  # 1.5 pixels from its own place, farther from all others
    turned = AXES.copy()
    turned[0] = (0.6, 0.8, 0, 0)
    found = compare(giving(POINTS, AXES), giving(moved, turned), [IMAGE])
    assert found == Parity(pytest.approx(3 / 4), pytest.approx((0.6 + 1 + 1) / 3), pytest.approx(1.5 / 4))


def test_nothing_in_common_is_no_parity() -> None:
    found = compare(giving(POINTS, AXES), giving(POINTS + 100, AXES), [IMAGE])
    assert found.displacement == FAR and found.overlap == 0 and found.cosine == 0 and not found.within("int8")


@pytest.mark.parametrize("precision", TOLERANCES)
def test_numbers_that_are_none_are_refused(precision: str) -> None:
    broken = giving(POINTS, np.full((4, 4), np.nan, np.float32))
    assert not compare(giving(POINTS, AXES), broken, [IMAGE]).within(precision)
    broken = giving(np.full((4, 2), np.nan, np.float32), AXES)
    assert not compare(giving(POINTS, AXES), broken, [IMAGE]).within(precision)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_what_overlaps_enough_is_not_refused_for_the_few_that_are_far(precision: str) -> None:
    bounds = TOLERANCES[precision]
    assert bounds.displacement >= (1 - bounds.overlap) * FAR - 1e-9


@pytest.mark.parametrize("precision", TOLERANCES)
def test_each_bound_counts(precision: str) -> None:
    bounds = TOLERANCES[precision]
    assert Parity(bounds.overlap, bounds.cosine, bounds.displacement).within(precision)
    assert not Parity(bounds.overlap - 0.001, bounds.cosine, bounds.displacement).within(precision)
    assert not Parity(bounds.overlap, bounds.cosine - 0.0001, bounds.displacement).within(precision)
    assert not Parity(bounds.overlap, bounds.cosine, bounds.displacement + 0.001).within(precision)


def test_common_keypoints_are_rows_of_both() -> None:
    here, there = common_keypoints(POINTS, np.array([[7, 7], [0, 0], [3, 4]], np.float32))
    assert (here.tolist(), there.tolist()) == ([3, 0], [0, 2])


@pytest.mark.parametrize("size", [(60, 100), (480, 640), (1080, 1920), (1000, 90)])
def test_photographs_come_with_the_package_in_any_size(size: tuple[int, int]) -> None:
    images = photographs(*size)
    assert len(images) >= 3
    assert all(image.shape == size and image.dtype == np.uint8 and image.std() > 20 for image in images)


def test_selection_rules_widen_the_tolerance_of_int8_only() -> None:
    lost = Parity(0.6, 0.99, 0.8)
    assert lost.within("int8", selected=True) and not lost.within("int8")
    assert not lost.within("fp16", selected=True)
