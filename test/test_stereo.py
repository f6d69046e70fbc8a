"""A made-up pair of distorted, turned cameras that look at points whose places are known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Features, match
from silk_ros.geometry.camera import Camera
from silk_ros.geometry.stereo_geometry import StereoGeometry
from silk_ros.stereo import StereoRules, match_stereo

SIZE = (640, 480)
LEFT_MATRIX = np.array([[430.0, 0, 318], [0, 432, 241], [0, 0, 1]])
RIGHT_MATRIX = np.array([[440.0, 0, 324], [0, 441, 236], [0, 0, 1]])
DISTORTION = {"plumb_bob": np.array([-0.2, 0.05, 0.001, -0.001, 0.0]), "equidistant": np.array([0.03, -0.01, 0, 0])}
ROTATION = cv2.Rodrigues(np.array([0.02, -0.03, 0.015]))[0]  # of the right camera to the left one
TRANSLATION = np.array([-0.12, 0.004, 0.002])
BASELINE = float(np.linalg.norm(TRANSLATION))


def calibrated_pair(model: str = "plumb_bob") -> tuple[Camera, Camera]:
    """As OpenCV's stereoRectify, and so ROS's camera_calibration, writes it."""
    distortion = DISTORTION[model]
    rectify = cv2.fisheye.stereoRectify if model == "equidistant" else cv2.stereoRectify
    arguments = (LEFT_MATRIX, distortion, RIGHT_MATRIX, distortion, SIZE, ROTATION, TRANSLATION)
    r1, r2, p1, p2 = rectify(*arguments, flags=cv2.CALIB_ZERO_DISPARITY)[:4]
    left = Camera(*SIZE, LEFT_MATRIX, distortion, model, r1, p1)
    return left, Camera(*SIZE, RIGHT_MATRIX, distortion, model, r2, p2)


def project(camera: Camera, points: NDArray[np.float64]) -> NDArray[np.float64]:
    to_pixels = cv2.fisheye.projectPoints if camera.model == "equidistant" else cv2.projectPoints
    return to_pixels(points[:, None], np.zeros(3), np.zeros(3), camera.matrix, camera.distortion)[0][:, 0]


def scene(count: int = 300) -> NDArray[np.float64]:
    """Points (N, 3) in the left camera's axes, which both cameras see."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 8, count)
    return (
        np.column_stack([rng.uniform(-0.35, 0.35, count), rng.uniform(-0.3, 0.3, count), np.ones(count)])
        * (depth[:, None])
    )


def described(keypoints: NDArray[np.floating], descriptors: NDArray[np.floating]) -> Features:
    descriptors = descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(keypoints, np.ones(len(keypoints)), descriptors)


def random_features(count: int, seed: int = 0, width: int = 200, height: int = 60) -> Features:
    rng = np.random.default_rng(seed)
    return described(rng.integers(0, (width, height), (count, 2)), rng.normal(size=(count, 16)))


def mutual_best_allowed(left: Features, right: Features, rules: StereoRules) -> list[list[int]]:
    """The definition, on the full matrix, for rectified images."""
    disparity, row = (left.keypoints[:, None] - right.keypoints).transpose(2, 0, 1)
    allowed = (np.abs(row) <= rules.row_tolerance) & (disparity >= rules.min_disparity)
    if rules.max_disparity:
        allowed &= disparity <= rules.max_disparity
    cosine = np.where(allowed, left.descriptors @ right.descriptors.T, -np.inf)
    best, back = cosine.argmax(axis=1), cosine.argmax(axis=0)
    return [[i, int(j)] for i, j in enumerate(best) if allowed[i, j] and back[j] == i]


@pytest.mark.parametrize("model", DISTORTION)
def test_rectified_pixels_share_rows_and_give_the_points_back(model: str) -> None:
    left, right = calibrated_pair(model)
    geometry, points = StereoGeometry(left, right), scene()
    pixels, pixels_right = project(left, points), project(right, points @ ROTATION.T + TRANSLATION)
    one, other = geometry.rectify_left(left.rays(pixels)), geometry.rectify_right(right.rays(pixels_right))
    np.testing.assert_allclose(one[:, 1], other[:, 1], atol=0.02)
    disparity = one[:, 0] - other[:, 0]
    assert disparity.min() > 1
    found = geometry.points(one, disparity)
    np.testing.assert_allclose(found, points, rtol=5e-3)
    np.testing.assert_allclose(found / found[:, 2:], left.rays(pixels), atol=1e-4)  # on the rays of the feature cloud
    assert geometry.baseline == pytest.approx(BASELINE)


def test_principal_points_may_differ_in_x() -> None:
    """As stereoRectify leaves them without CALIB_ZERO_DISPARITY, or a region of interest does."""
    left, right = calibrated_pair()
    moved = right.projection.copy()
    moved[0, 2] += 25
    geometry = StereoGeometry(left, replace(right, projection=moved))
    pixels = project(right, scene() @ ROTATION.T + TRANSLATION)
    rays = right.rays(pixels)
    np.testing.assert_allclose(geometry.rectify_right(rays), StereoGeometry(left, right).rectify_right(rays))


def test_what_lies_behind_the_rectified_camera_is_not_a_number() -> None:
    left, right = calibrated_pair()
    turned = replace(left, rectification=np.diag([-1.0, 1, -1]))
    assert np.isnan(StereoGeometry(turned, right).rectify_left(left.rays([[320, 240]]))).all()


def test_points_without_disparity_are_not_a_number() -> None:
    points = StereoGeometry(*calibrated_pair()).points([[100, 100]] * 3, [0, -1, 5])
    assert np.isnan(points[:2]).all() and np.isfinite(points[2]).all()


def changed(camera: Camera, place: tuple[int, int], value: float) -> Camera:
    projection = camera.projection.copy()
    projection[place] = value
    return replace(camera, projection=projection)


def test_cameras_that_are_no_pair_are_explained() -> None:
    left, right = calibrated_pair()
    single = Camera(*SIZE, LEFT_MATRIX, np.zeros(5))
    with pytest.raises(ValueError, match="is right/camera_info the calibration of a pair"):
        StereoGeometry(single, single)
    with pytest.raises(ValueError, match="swap left and right"):
        StereoGeometry(right, left)
    with pytest.raises(ValueError, match=r"focal length fx .* calibrate both cameras together"):
        StereoGeometry(left, changed(right, (0, 0), 300))
    with pytest.raises(ValueError, match="row of the principal point"):
        StereoGeometry(left, changed(right, (1, 2), 200))
    with pytest.raises(ValueError, match="right/camera_info has an r that is no rotation"):
        StereoGeometry(left, replace(right, rectification=np.ones((3, 3))))
    with pytest.raises(ValueError, match=r"left/camera_info has .* a p whose rows are not"):
        StereoGeometry(changed(left, (0, 0), 0), right)
    with pytest.raises(ValueError, match=r"right/camera_info has .* a p whose rows are not"):
        StereoGeometry(left, changed(right, (2, 2), 0))


@pytest.mark.parametrize(
    "rules",
    [
        StereoRules(),
        StereoRules(row_tolerance=0),
        StereoRules(min_disparity=10, max_disparity=30),
        StereoRules(row_tolerance=100, min_disparity=0),
    ],
)
@pytest.mark.parametrize(("count", "count_right"), [(1, 1), (40, 300), (500, 400), (700, 2)])
def test_matches_equal_the_full_matrix(rules: StereoRules, count: int, count_right: int) -> None:
    left, right = random_features(count, 1), random_features(count_right, 2)
    matches = match_stereo(left, right, rules=rules)
    assert matches.indices.tolist() == mutual_best_allowed(left, right, rules)
    i, j = matches.indices.T
    np.testing.assert_allclose(matches.similarity, (left.descriptors[i] * right.descriptors[j]).sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(matches.disparity, left.keypoints[i, 0] - right.keypoints[j, 0], atol=1e-4)
    assert matches.points.shape == (len(matches), 3) and np.isnan(matches.points).all()


@pytest.mark.parametrize("tolerance", [1.0, 2.0])
def test_a_difference_of_exactly_the_tolerance_is_allowed_in_calibrated_images_too(tolerance: float) -> None:
    """Keypoints lie on a grid, so that many differ by just that; undistorting rounds."""
    matrix = np.array([[437.3, 0, 99.5], [0, 437.3, 29.5], [0, 0, 1]])
    cameras = [
        Camera(200, 60, matrix, np.zeros(5), projection=np.column_stack([matrix, [shift, 0, 0]])) for shift in (0, -50)
    ]
    left, right, rules = random_features(500, 1), random_features(400, 2), StereoRules(row_tolerance=tolerance)
    calibrated = match_stereo(left, right, StereoGeometry(*cameras), rules)
    assert calibrated.indices.tolist() == mutual_best_allowed(left, right, rules)


def test_repeated_texture_is_matched_along_its_row() -> None:
    """Equal descriptors in other rows, as of a fence, confuse a search of the whole image but not of the row."""
    rng = np.random.default_rng(0)
    posts = np.tile(rng.normal(size=(10, 16)), (20, 1))
    places = np.column_stack([np.tile(np.arange(60, 160, 10), 20), np.repeat(np.arange(5, 205, 10), 10)])
    left = described(places, posts + 0.05 * rng.normal(size=posts.shape))
    right = described(places - [30, 0], posts + 0.05 * rng.normal(size=posts.shape))
    truth = [[i, i] for i in range(200)]
    assert match_stereo(left, right).indices.tolist() == truth
    assert sum(pair in truth for pair in match(left, right).indices.tolist()) < 100


def test_the_pair_s_points_are_found_from_keypoints() -> None:
    left, right = calibrated_pair()
    points = scene()
    descriptors = np.random.default_rng(1).normal(size=(len(points), 32))
    order = np.random.default_rng(2).permutation(len(points))
    one = described(project(left, points), descriptors)
    other = described(project(right, points @ ROTATION.T + TRANSLATION)[order], descriptors[order])
    matches = match_stereo(one, other, StereoGeometry(left, right))
    assert matches.indices[:, 0].tolist() == list(range(len(points)))
    np.testing.assert_array_equal(order[matches.indices[:, 1]], matches.indices[:, 0])
    np.testing.assert_allclose(matches.points, points, rtol=5e-3)


def test_min_similarity_drops_the_dissimilar() -> None:
    left, right = random_features(300, 1), random_features(300, 2)
    everything = match_stereo(left, right)
    strict = match_stereo(left, right, rules=StereoRules(min_similarity=0.5))
    kept = everything.similarity >= 0.5
    assert 0 < kept.sum() < len(kept)
    assert strict.indices.tolist() == everything.indices[kept].tolist()


@pytest.mark.parametrize(("count", "count_right"), [(0, 0), (0, 5), (5, 0)])
@pytest.mark.parametrize("calibrated", [False, True])
def test_nothing_matches_nothing(count: int, count_right: int, calibrated: bool) -> None:
    geometry = StereoGeometry(*calibrated_pair()) if calibrated else None
    matches = match_stereo(random_features(count), random_features(count_right), geometry)
    assert len(matches) == 0
    shapes = (matches.indices.shape, matches.similarity.shape, matches.disparity.shape, matches.points.shape)
    assert shapes == ((0, 2), (0,), (0,), (0, 3))


def test_descriptors_of_different_models_are_explained() -> None:
    other = described(np.zeros((3, 2)), np.ones((3, 8)))
    with pytest.raises(ValueError, match="extract both images with the same model"):
        match_stereo(random_features(3), other)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"row_tolerance": -1.0}, "row_tolerance must be 0 or more"),
        ({"row_tolerance": float("nan")}, "row_tolerance must be 0 or more"),
        ({"min_disparity": -1.0}, "min_disparity must be 0 or more"),
        ({"min_disparity": 5.0, "max_disparity": 4.0}, "max_disparity must be 0 .* or above min_disparity, not 4"),
        ({"min_similarity": 2.0}, "min_similarity must be between"),
    ],
)
def test_rules_out_of_range_are_explained(rules: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StereoRules(**rules)


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_keypoints_without_a_ray_have_no_stereo_match_and_disturb_no_other(side: str) -> None:
    left, right = calibrated_pair()
    geometry = StereoGeometry(left, right)
    points = scene(200)
    descriptors = np.random.default_rng(1).normal(size=(len(points), 16))
    seen = described(project(left, points), descriptors)
    seen_right = described(project(right, points @ ROTATION.T + TRANSLATION), descriptors)
    rays = left.rays(seen.keypoints), right.rays(seen_right.keypoints)
    missing = np.arange(len(points)) % 3 == 0
    for each in rays[slice(None) if side == "both" else slice(0, 1) if side == "left" else slice(1, 2)]:
        each[missing] = np.nan
    found = match_stereo(seen, seen_right, geometry, rays=rays)
    np.testing.assert_array_equal(found.indices[:, 0], found.indices[:, 1])
    np.testing.assert_array_equal(found.indices[:, 0], np.flatnonzero(~missing))
    np.testing.assert_allclose(found.points, points[~missing], rtol=2e-3, atol=2e-3)


def test_rays_beside_the_rectified_camera_have_no_rectified_pixel() -> None:
    """Near its image plane, and behind it, where pixels would be numbers without a meaning."""
    left, right = calibrated_pair("equidistant")
    geometry = StereoGeometry(left, right)
    axes = np.array([[0, 0, 1], [1, 0, 1], [150, 0, 1], [1e5, 0, 1], [0, -1e5, 1], [1, 0, -1], [np.nan] * 3])
    pixels = geometry.rectify_left((axes @ left.rectification).astype(np.float32))
    assert np.isfinite(pixels).all(axis=1).tolist() == [True, True, False, False, False, False, False]


def test_a_mirrored_rectification_is_refused() -> None:
    left, right = calibrated_pair()
    mirrored = replace(left, rectification=np.diag([-1.0, 1, 1]) @ left.rectification)
    with pytest.raises(ValueError, match="left/camera_info has an r that is no rotation"):
        StereoGeometry(mirrored, right)
