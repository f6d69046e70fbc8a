from dataclasses import replace

import cv2
import numpy as np
import pytest

from silk_ros.geometry.homography import project
from silk_ros.geometry.motion import transform
from silk_ros.geometry.pnp import DepthMatches, estimate_motion

MATRIX = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
MOTION = np.eye(4)
MOTION[:3, :3] = cv2.Rodrigues(np.array([0.01, -0.03, 0.005]))[0]
MOTION[:3, 3] = [0.05, -0.02, -0.8]


def step(count: int, wrong: int = 0, noise: float = 0.0) -> DepthMatches:
    rng = np.random.default_rng(0)
    points = rng.uniform([-5, -3, 4], [5, 3, 30], (count, 3))
    pixels, next_pixels = project(MATRIX, points), project(MATRIX, transform(MOTION, points))
    next_pixels += rng.normal(0, noise, (count, 2))
    next_pixels[:wrong] += 40
    return DepthMatches(pixels, points[:, 2], next_pixels, count)


def test_errors_are_in_pixels_of_the_next_image() -> None:
    exact = step(20, wrong=5)
    np.testing.assert_allclose(exact.errors(MOTION, MATRIX), [40 * 2**0.5] * 5 + [0] * 15, atol=1e-6)
    backwards = np.eye(4)
    backwards[2, 3] = -50  # every point ends up behind the camera
    assert np.isinf(exact.errors(backwards, MATRIX)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_motion_is_found_among_wrong_matches(seed: int) -> None:
    found = estimate_motion(step(100, wrong=40), MATRIX, seed)
    assert found is not None
    np.testing.assert_allclose(found, MOTION, atol=1e-5)


def test_all_inliers_count_so_that_the_samples_do_not_matter() -> None:
    noisy = step(200, wrong=60, noise=0.5)
    first, second = (estimate_motion(noisy, MATRIX, seed) for seed in (0, 1))
    assert first is not None and second is not None
    np.testing.assert_allclose(first, second, atol=1e-6)
    np.testing.assert_allclose(first, MOTION, atol=0.02)


def test_stereo_errors_count_by_what_a_pixel_of_disparity_would_change() -> None:
    # A point 10 m ahead and 2 m to the right, of disparity 25; the camera goes 2 m forward.
    forward = np.eye(4)
    forward[2, 3] = -2
    made = DepthMatches(
        np.array([[420.0, 240]] * 3), np.full(3, 10.0), np.array([[445.0, 240], [447, 240], [445, 243]]), 3, 250.0
    )
    np.testing.assert_allclose(project(MATRIX, transform(forward, made.points(MATRIX))), [[445, 240]] * 3)
    # At disparity d the depth is 250/d and the projection 320 + 500 * (50/d) / (250/d - 2) = 320 + 25000 / (250 - 2d):
    # its slope 50000 / (250 - 2d)^2 is 1.25 px a pixel, so that along the row errors are divided by sqrt(1 + 1.25^2).
    np.testing.assert_allclose(made.errors(forward, MATRIX), [0, 2 / (1 + 1.25**2) ** 0.5, 3], atol=1e-3)


def test_far_points_do_not_outweigh_near_ones() -> None:
    rng = np.random.default_rng(0)
    depths = np.concatenate([rng.uniform(5, 15, 60), rng.uniform(80, 150, 600)])
    points = np.column_stack([rng.uniform(-0.6, 0.6, 660) * depths, rng.uniform(-0.4, 0.4, 660) * depths, depths])
    forward = np.eye(4)
    forward[2, 3] = -1
    pixels, next_pixels = project(MATRIX, points), project(MATRIX, transform(forward, points))
    next_pixels += rng.normal(0, 0.5, (660, 2))
    disparities = np.maximum(250 / depths + rng.normal(0, 0.7, 660), 0.5)
    weighted = DepthMatches(pixels, 250 / disparities, next_pixels, 660, 250.0)
    errors = {}
    for name, stereo in (("weighted", weighted), ("plain", replace(weighted, focal_baseline=None))):
        found = estimate_motion(stereo, MATRIX)
        assert found is not None
        errors[name] = abs(found[2, 3] + 1)
    assert errors["weighted"] < errors["plain"] / 2


def test_too_few_matches_or_inliers_give_no_motion() -> None:
    assert estimate_motion(step(9), MATRIX) is None
    assert estimate_motion(step(0), MATRIX) is None
    rng = np.random.default_rng(0)
    chaos = DepthMatches(rng.uniform(0, 480, (15, 2)), rng.uniform(2, 9, 15), rng.uniform(0, 480, (15, 2)), 15)
    assert estimate_motion(chaos, MATRIX) is None
