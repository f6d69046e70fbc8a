"""Refined stereo matches of a photograph that two cameras see at disparities of known parts of a pixel."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from silk_ros import Extractor
from silk_ros.front_end_options import FrontEndOptions
from silk_ros.frontend import FrontEnd
from silk_ros.geometry.camera import Camera
from silk_ros.geometry.stereo_geometry import StereoGeometry
from silk_ros.handover import LIMIT
from silk_ros.step import Step
from silk_ros.stereo import RightImage, StereoRules
from silk_ros.tracker import others

Image = NDArray[np.uint8]
HEIGHT, WIDTH, FOCAL, BASELINE = 240, 320, 300.0, 0.1
NEAR, FAR = 12.37, 6.81  # disparities of the lower and the upper half


def render(disparity: NDArray[np.float64], row: float = 0.0, seed: int = 0) -> Image:
    """The photo moved left by a disparity (H, W) and down by some rows, with the noise of a sensor."""
    photo = cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2GRAY)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    image = cv2.remap(
        photo, x + np.float32(60) + disparity.astype(np.float32), y + np.float32(60 - row), cv2.INTER_CUBIC
    )
    noisy = image + np.random.default_rng(seed).normal(0, 1.5, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def disparities() -> NDArray[np.float64]:
    return np.where(np.arange(HEIGHT) < HEIGHT // 2, FAR, NEAR)[:, None] * np.ones((1, WIDTH))


def geometry(tilt: float = 0.0) -> StereoGeometry:
    """Rectified cameras; the right one's rows are off by some pixels of tilt."""
    matrix = np.array([[FOCAL, 0, 160], [0, FOCAL, 120], [0, 0, 1]])
    distortion = np.zeros(5)
    projection = np.column_stack([matrix, [-FOCAL * BASELINE, 0, 0]])
    right = matrix.copy()
    right[1, 2] += tilt
    return StereoGeometry(
        Camera(WIDTH, HEIGHT, matrix, distortion), Camera(WIDTH, HEIGHT, right, distortion, projection=projection)
    )


@cache
def extractor() -> Extractor:
    return Extractor.load(max_keypoints=1500, scale=0.5)


def run(right: Image, geometry: StereoGeometry | None, **options: object) -> Step:
    front_end = FrontEnd(extractor(), FrontEndOptions(**options))  # type: ignore[arg-type]
    left = render(np.zeros((HEIGHT, WIDTH)), seed=1)
    step = front_end.process(left, 0, right=RightImage(right, geometry))
    assert step.stereo is not None
    return step


def errors(step: Step) -> NDArray[np.float64]:
    """Errors of the disparities, away from the edge between near and far."""
    assert step.stereo is not None
    matches = step.stereo.matches
    y = step.frame.features.keypoints[matches.indices[:, 0], 1]
    error = matches.disparity - np.where(y < HEIGHT / 2, FAR, NEAR)
    return error[np.abs(y - HEIGHT / 2) > 15]


def test_disparities_are_sub_pixel_and_their_sigmas_fit() -> None:
    right = render(disparities())
    refined, coarse = (run(right, geometry(), refinement=method) for method in ("subpixel", "none"))
    error, before = errors(refined), errors(coarse)
    assert len(error) > 0.8 * (np.abs(before) < 2).sum()
    assert np.median(np.abs(error)) < 0.1 < 0.3 < np.median(np.abs(before))
    assert (np.abs(error) < 1).mean() > 0.98 and abs(np.median(error)) < 0.03
    for step in (refined, coarse):
        assert step.stereo is not None and step.stereo.matches.sigma is not None
        assert step.stereo.matches.sigma.dtype == np.float32
        off = np.sqrt(np.mean(np.square(errors(step)[np.abs(errors(step)) < 2])))
        assert 0.3 < off / np.median(step.stereo.matches.sigma) < 1.5


def test_points_rays_and_rows_agree() -> None:
    step, pair_geometry = run(render(disparities()), geometry()), geometry()
    assert step.stereo is not None and step.stereo.rays is not None
    matches, right = step.stereo.matches, step.stereo.right
    rows, rows_right = matches.indices.T
    left_points, right_points = step.frame.features.keypoints[rows], right.keypoints[rows_right]
    np.testing.assert_allclose(left_points[:, 0] - right_points[:, 0], matches.disparity, atol=1e-3)
    np.testing.assert_allclose(matches.points[:, 2], FOCAL * BASELINE / matches.disparity, rtol=1e-4)
    np.testing.assert_array_equal(step.stereo.rays, pair_geometry.right.rays(right.keypoints))
    assert len(np.unique(rows_right)) == len(rows_right)


def test_rows_may_be_off_by_an_error_of_the_calibration() -> None:
    aligned, tilted = (run(render(disparities(), row), geometry()) for row in (0.0, 1.1))
    assert aligned.stereo is not None and tilted.stereo is not None
    assert len(tilted.stereo.matches) > 0.6 * len(aligned.stereo.matches)
    assert np.median(np.abs(errors(tilted))) < 0.1


def test_left_keypoints_that_a_track_moved_are_matched_as_well() -> None:
    """They are off the grid of the right keypoints by up to some pixels."""
    front_end = FrontEnd(extractor())
    zeros = np.zeros((HEIGHT, WIDTH))
    counts = []
    for index in range(4):
        move = 1.3 * index
        right = RightImage(render(disparities() + move, seed=2 * index), geometry())
        step = front_end.process(render(zeros + move, seed=2 * index + 1), index, right=right)
        assert step.stereo is not None
        counts.append(len(step.stereo.matches))
        assert np.median(np.abs(errors(step))) < 0.1
        found = extractor()(right.image)
        moved = np.linalg.norm(step.stereo.right.keypoints - found.keypoints, axis=1)
        assert moved.max() <= LIMIT / extractor().scale + 1e-3
        rows, rows_right = step.stereo.matches.indices.T
        assert len(np.unique(rows_right)) == len(rows) and (moved[others(len(found), rows_right)] == 0).all()
    assert min(counts[1:]) > 0.9 * counts[0]


def test_refined_matches_keep_the_rules() -> None:
    rules = StereoRules(min_disparity=8.0, max_disparity=12.4)
    step = run(render(disparities()), geometry(), stereo=rules)
    assert step.stereo is not None and len(step.stereo.matches) > 50
    disparity = step.stereo.matches.disparity
    assert disparity.min() >= 8 and disparity.max() <= 12.4


def test_images_of_two_sizes_are_matched_on_the_grid() -> None:
    right = render(disparities())[:-8]
    step = run(np.ascontiguousarray(right), None)
    assert step.stereo is not None and len(step.stereo.matches) > 100
    assert (step.stereo.matches.disparity % 2 == 0).all()


def test_images_that_differ_too_much_stay_on_the_grid() -> None:
    step = run(render(disparities(), seed=3)[::-1].copy(), geometry())
    assert step.stereo is not None and step.stereo.matches.sigma is not None
    matches = step.stereo.matches
    np.testing.assert_allclose(matches.sigma, 0.41 * 2, rtol=1e-6)
    np.testing.assert_allclose(matches.disparity, np.round(matches.disparity / 2) * 2, atol=1e-3)


def test_right_features_are_limited_like_the_left_ones() -> None:
    step = run(render(disparities()), geometry(), max_published=100)
    assert step.stereo is not None and step.stereo.rays is not None
    pair = step.stereo
    assert len(step.frame.features) == len(pair.right) == len(pair.rays) == 100
    assert len(pair.matches) > 0 and pair.matches.indices.max() < 100
    assert (np.diff(pair.right.scores) <= 0).all()
    assert np.median(np.abs(errors(step))) < 0.1


@pytest.mark.parametrize("side", ["left", "right"])
def test_keypoints_without_a_ray_have_no_match(side: str) -> None:
    cameras = geometry()
    fold = np.array([-3.0, 0, 0, 0, 0])  # folds over inside the image
    broken = replace(getattr(cameras, side), distortion=fold)
    step = run(render(disparities()), replace(cameras, **{side: broken}))
    assert step.stereo is not None
    matches = step.stereo.matches
    assert np.isfinite(matches.disparity).all() and np.isfinite(matches.points).all()
