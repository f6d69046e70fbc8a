"""Refinement against photographs that were moved by known parts of a pixel."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.refinement import Patches, Refined
from silk_ros.refinement import refine as refine_patches

Image = NDArray[np.uint8]
SHIFT = np.array([3.37, -1.81])  # pixels by which the content moves
REACH = 2.0


def refine(before: Image, now: Image, *points_and_reach: Any) -> Refined:
    return refine_patches(Patches(before), Patches(now), *points_and_reach)


def moved(photo: Image, shift: NDArray[np.float64] = SHIFT, noise: float = 1.0) -> Image:
    """The photo with its content moved, and the noise of a sensor."""
    matrix = np.column_stack([np.eye(2), shift])
    image = cv2.warpAffine(photo, matrix, photo.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    noisy = image + np.random.default_rng(0).normal(0, noise, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.fixture
def corners(photo: Image) -> NDArray[np.float32]:
    """Points (N, 2) with texture around them, away from the borders."""
    found = cv2.goodFeaturesToTrack(photo[16:-16, 16:-16], 200, 0.01, 5)
    return found[:, 0] + np.float32(16)


def grid(points: NDArray[np.floating], pixel: float = 2.0) -> NDArray[np.float32]:
    """The centres of pixels of a network that sees images at half their size."""
    return ((np.round((points - 0.5) / pixel) * pixel) + 0.5).astype(np.float32)


@pytest.mark.parametrize("exposure", [(1.0, 0.0), (0.7, 20.0), (1.2, -10.0)])
def test_positions_become_sub_pixel_whatever_the_exposure(
    photo: Image, corners: NDArray[np.float32], exposure: tuple[float, float]
) -> None:
    image = cv2.convertScaleAbs(moved(photo), alpha=exposure[0], beta=exposure[1])
    truth = corners + SHIFT
    start = grid(truth)
    found = refine(photo, np.asarray(image, np.uint8), corners, start, REACH)
    error, before = (np.linalg.norm(points - truth, axis=1) for points in (found.points, start))
    assert found.succeeded.mean() > 0.95
    assert np.median(error[found.succeeded]) < 0.1 < 0.6 < np.median(before)
    assert np.quantile(error[found.succeeded], 0.9) < 0.3
    assert found.points.dtype == np.float32


def test_wrong_matches_do_not_succeed_and_keep_their_positions(photo: Image, corners: NDArray[np.float32]) -> None:
    wrong = np.roll(grid(corners + SHIFT), 1, axis=0)
    found = refine(photo, moved(photo), corners, wrong, REACH)
    assert found.succeeded.mean() < 0.05
    np.testing.assert_array_equal(found.points[~found.succeeded], wrong[~found.succeeded])


def test_a_point_beyond_reach_does_not_succeed(photo: Image, corners: NDArray[np.float32]) -> None:
    truth = (corners + SHIFT).astype(np.float32)
    found = refine(photo, moved(photo), corners, truth + np.float32([0, 1.5]), 1.0)
    assert found.succeeded.mean() < 0.05
    assert refine(photo, moved(photo), corners, truth + np.float32([0, 1.5]), 2.0).succeeded.mean() > 0.7


def test_the_difference_tells_how_alike_the_patches_are(photo: Image, corners: NDArray[np.float32]) -> None:
    clean, noisy = (
        refine(photo, moved(photo, noise=noise), corners, grid(corners + SHIFT), REACH) for noise in (1.0, 10.0)
    )
    both = clean.succeeded & noisy.succeeded
    assert both.mean() > 0.8
    assert np.median(clean.difference[both]) < 0.8 * np.median(noisy.difference[both])


def test_refined_points_are_inside_the_image(photo: Image) -> None:
    height, width = photo.shape
    border = np.array([[x, y] for x in (0, 1, width - 2, width - 1) for y in range(0, height, 7)], np.float32)
    found = refine(photo, moved(photo, np.array([0.6, 0.6])), border, border, REACH)
    assert found.succeeded.any()
    inside = found.points[found.succeeded]
    assert (inside >= 0).all() and (inside <= [width - 1, height - 1]).all()


@pytest.mark.filterwarnings("error")
def test_points_that_are_no_numbers_or_far_outside_disturb_no_other(photo: Image, corners: NDArray[np.float32]) -> None:
    image, start = moved(photo), grid(corners + SHIFT)
    expected = refine(photo, image, corners, start, REACH)
    before, points = corners.copy(), start.copy()
    before[0], points[1], before[2], points[3] = np.nan, np.nan, 1e9, [-50, 20]
    found = refine(photo, image, before, points, REACH)
    assert not found.succeeded[:4].any()
    both = (found.succeeded & expected.succeeded)[4:]
    assert both.sum() > 0.97 * expected.succeeded[4:].sum()
    np.testing.assert_allclose(found.points[4:][both], expected.points[4:][both], atol=0.05)


def test_flat_images_have_nothing_to_refine() -> None:
    flat = np.full((60, 80), 128, np.uint8)
    points = np.random.default_rng(0).uniform(5, 55, (30, 2)).astype(np.float32)
    found = refine(flat, flat, points, points + np.float32(0.5), REACH)
    assert not found.succeeded.any() and (found.points == points + np.float32(0.5)).all()


def test_no_points_are_refined_to_no_points(photo: Image) -> None:
    nothing = np.empty((0, 2), np.float32)
    found = refine(photo, photo, nothing, nothing, REACH)
    assert [each.shape for each in found] == [(0, 2), (0,), (0,)]


def test_images_of_two_sizes_are_explained(photo: Image) -> None:
    with pytest.raises(ValueError, match="images of one size"):
        refine(photo, photo[:-1], np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), REACH)
