"""Rays of cameras whose distortion folds, reaches 90 degrees, or is solved by nothing simple."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from silk_ros.geometry.camera import Camera

WIDTH, HEIGHT = 640, 480
PIXELS = np.stack(np.meshgrid(np.linspace(0, WIDTH - 1, 41), np.linspace(0, HEIGHT - 1, 31)), axis=-1).reshape(-1, 2)


def matrix_of(focal: float, skew: float = 0.0) -> NDArray[np.float64]:
    return np.array([[focal, skew, 322.0], [0, 1.02 * focal, 238], [0, 0, 1]])


def projected(camera: Camera, rays: NDArray[np.floating]) -> NDArray[np.float64]:
    """OpenCV's projection of rays to pixels; it knows no skew, which K adds to the distorted position."""
    rays = rays.astype(np.float64).reshape(-1, 1, 3)
    if not len(rays):
        return np.empty((0, 2))
    project = cv2.fisheye.projectPoints if camera.model == "equidistant" else cv2.projectPoints
    distorted = project(rays, np.zeros(3), np.zeros(3), np.eye(3), camera.distortion)[0][:, 0]
    return distorted @ camera.matrix[:2, :2].T + camera.matrix[:2, 2]


def radial(camera: Camera, radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distorted radii of undistorted radii, or of angles of an equidistant camera, without tangential distortion."""
    squares = radii**2
    if camera.model == "equidistant":
        return radii * np.polynomial.Polynomial([1, *camera.distortion])(squares)
    k1, k2, _, _, k3, k4, k5, k6 = np.pad(camera.distortion, (0, 14 - len(camera.distortion)))[:8]
    above, below = np.polynomial.Polynomial([1, k1, k2, k3]), np.polynomial.Polynomial([1, k4, k5, k6])
    return radii * above(squares) / np.where(np.minimum.accumulate(below(squares)) > 0, below(squares), np.nan)


def fold(camera: Camera) -> float:
    """The radius, or angle, at which the distorted radius stops to grow; inf for none below 20."""
    radii = np.linspace(0, np.pi / 2 if camera.model == "equidistant" else 20, 200_001)
    distorted = radial(camera, radii)
    falling = ~(np.diff(distorted) > 0)
    return float(radii[np.argmax(falling)]) if falling.any() else np.inf


def opposite_side(camera: Camera, pixels: NDArray[np.floating], rays: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which rays point away from where their pixels lie, as seen from the principal point."""
    distorted = (pixels - camera.matrix[:2, 2]) @ np.linalg.inv(camera.matrix[:2, :2]).T
    return (distorted * rays[:, :2]).sum(axis=1) < 0


@pytest.mark.parametrize(
    ("focal", "distortion", "everywhere"),
    [
        (320.0, [-0.42, 0.10, 0, 0, 0], True),  # monotone, but fixed-point iterations diverge
        (260.0, [-0.32, 0.06, 0, 0, 0], True),
        (290.0, [-0.32, 0.06, 0.001, -0.002, 0], True),
        (300.0, [0.5, 0, 0, 0], True),
        (320.0, [-0.30, 0, 0, 0], False),  # a fold at a radius of 1.05
        (250.0, [-0.30, 0.10, 0, 0, -0.02], False),
        (300.0, [0.93, 0.166, -2e-5, -1e-5, 0.0029, 1.33, 0.436, 0.0276], True),
        (300.0, [-3.475, -38.57, 3e-4, -9e-5, 286.4, -3.64, -36.69, 279.1], True),
        (400.0, [0.1, -0.05, 0.001, 0.001, 0.01, 0.12, -0.04, 0.005, 0.01, -0.02, 0.005, 0.01], True),
        (400.0, [0.1, -0.05, 0.001, 0.001, 0.01, 0.12, -0.04, 0.005, 0.001, 0, 0.002, 0, 0.05, -0.1], True),
    ],
)
def test_a_ray_is_right_wherever_there_is_one(focal: float, distortion: list[float], everywhere: bool) -> None:
    camera = Camera(WIDTH, HEIGHT, matrix_of(focal), distortion)
    rays = camera.rays(PIXELS)
    finite = np.isfinite(rays).all(axis=1)
    assert finite.all() if everywhere else 0.5 < finite.mean() < 1
    assert np.isnan(rays[~finite]).all()
    np.testing.assert_allclose(projected(camera, rays[finite]), PIXELS[finite], atol=0.05)


@pytest.mark.parametrize("distortion", [[-0.30, 0, 0, 0, 0], [-0.30, 0.10, 0, 0, -0.02], [-0.5, 0.15, 0.001, 0, -0.03]])
def test_every_pixel_below_the_fold_has_its_ray_and_none_beyond(distortion: list[float]) -> None:
    camera = Camera(WIDTH, HEIGHT, matrix_of(200.0), [*distortion[:2], 0, 0, distortion[4]])
    rays = camera.rays(PIXELS)
    finite = np.isfinite(rays).all(axis=1)
    distorted = np.linalg.norm((PIXELS - camera.matrix[:2, 2]) / camera.matrix.diagonal()[:2], axis=1)
    edge = radial(camera, np.array([fold(camera)]))[0]
    np.testing.assert_array_equal(
        finite[np.abs(distorted - edge) > 1e-5], (distorted < edge)[np.abs(distorted - edge) > 1e-5]
    )
    assert np.linalg.norm(rays[finite, :2], axis=1).max() <= fold(camera) + 1e-3


@pytest.mark.parametrize(
    "coefficients", [[0.0] * 4, [-0.0093, 0.0462, -0.0434, 0.0080], [0.01, -0.005, 0.001, -0.0002]]
)
@pytest.mark.parametrize("degrees", [0.0, 1e-6, 10, 45, 80, 88, 89.9, 89.999, 90.001, 90.5, 95, 110, 170])
def test_fisheye_rays_end_at_90_degrees(degrees: float, coefficients: list[float]) -> None:
    """The ray has the angle of its pixel up to 90 degrees, and is NaN from there on, on whichever side."""
    camera = Camera(WIDTH, HEIGHT, matrix_of(180.0), coefficients, "fisheye")
    radius = radial(camera, np.array([np.radians(degrees)]))[0]
    angles = np.linspace(0, min(fold(camera), np.radians(90)), 100_001)
    if degrees > 90:  # the polynomial may give an angle below the same radius
        degrees = float(np.degrees(np.interp(radius, radial(camera, angles), angles, right=np.pi)))
    for direction in np.array([[1, 0], [-1, 0], [0, 1], [0.6, -0.8]]):
        ray = camera.rays(camera.matrix[:2, 2] + radius * direction * camera.matrix.diagonal()[:2])[0]
        if degrees < 90:
            assert np.degrees(np.arctan2(ray[:2] @ direction, ray[2])) == pytest.approx(degrees, abs=2e-4)
            assert abs(ray[0] * direction[1] - ray[1] * direction[0]) <= 1e-5 * np.abs(ray).max()
        else:
            assert np.isnan(ray).all()


def test_a_fisheye_that_folds_before_90_degrees_has_no_ray_beyond() -> None:
    camera = Camera(WIDTH, HEIGHT, matrix_of(200.0), [-0.2, 0, 0, 0], "equidistant")
    assert fold(camera) == pytest.approx(np.sqrt(1 / 0.6), abs=1e-4)
    radii = np.linspace(0, 3, 301)
    rays = camera.rays(camera.matrix[:2, 2] + np.outer(radii, [1, 0]) * 200.0)
    known = radii < radial(camera, np.array([fold(camera)]))
    np.testing.assert_array_equal(np.isfinite(rays).all(axis=1), known)
    np.testing.assert_allclose(radial(camera, np.arctan(rays[known, 0].astype(float))), radii[known], atol=1e-5)


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
@pytest.mark.parametrize("distortion", [[0.0] * 4, [-0.1, 0.02, 0.001, 0.002]])
def test_skew_moves_the_pixel_and_not_the_ray(model: str, distortion: list[float]) -> None:
    straight = Camera(WIDTH, HEIGHT, matrix_of(400.0), distortion, model)
    skewed = Camera(WIDTH, HEIGHT, matrix_of(400.0, skew=25.0), distortion, model)
    rays = straight.rays(PIXELS)
    shift = 25.0 * (PIXELS[:, 1] - 238) / (1.02 * 400)
    np.testing.assert_allclose(skewed.rays(PIXELS + np.column_stack([shift, 0 * shift])), rays, atol=1e-5)
    np.testing.assert_allclose(projected(skewed, rays), PIXELS + np.column_stack([shift, 0 * shift]), atol=0.01)


def test_before_a_pole_there_are_no_rays_that_float32_cannot_hold() -> None:
    """A published calibration whose denominator is zero at a radius inside of the image (opencv#20736)."""
    distortion = [2.99721646, -6.09288263, 0.00057462, -4.857e-05, -1.26187623, 3.53409386, -4.27079391, -5.30235195]
    matrix = np.array([[2421.79, 0, 1919.61], [0, 2421.79, 1090.35], [0, 0, 1]])
    camera = Camera(3840, 2160, matrix, distortion, "rational_polynomial")
    rays = camera.rays(PIXELS * 6 - [0, 300])
    finite = np.isfinite(rays).all(axis=1)
    assert 0.3 < finite.mean() < 1
    np.testing.assert_allclose(projected(camera, rays[finite]), (PIXELS * 6 - [0, 300])[finite], atol=0.05)


@pytest.mark.parametrize("pixel", [[np.nan, 5], [np.inf, 5], [5, -np.inf], [1e300, 1e300], [1e9, 0]])
@pytest.mark.parametrize("model", ["none", "plumb_bob", "rational_polynomial", "equidistant"])
def test_what_is_no_pixel_has_no_wrong_ray(pixel: list[float], model: str) -> None:
    distortion = {"none": [], "plumb_bob": [-0.3, 0, 0, 0]}.get(model, [0.1, 0.2, 0.01, 0.01])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        camera = Camera(WIDTH, HEIGHT, matrix_of(300.0), distortion, model)
        rays = camera.rays([pixel, [322.0, 238.0]])
    assert np.isnan(rays[0]).all() or np.isfinite(pixel).all()
    np.testing.assert_allclose(rays[1], [0, 0, 1], atol=1e-6)


@pytest.mark.parametrize("values", [[1e300] * 8, [1e-320] * 8, [1e200, -1e200, 0, 0, 1e160, -1e200, 1e200, 1e200]])
def test_absurd_coefficients_give_no_ray_and_no_exception(values: list[float]) -> None:
    for model, used in ("rational_polynomial", values), ("equidistant", values[:4]):
        camera = Camera(WIDTH, HEIGHT, matrix_of(300.0), used, model)
        rays = camera.rays(PIXELS)
        finite = np.isfinite(rays).all(axis=1)
        np.testing.assert_allclose(projected(camera, rays[finite]), PIXELS[finite], atol=0.05)


def coefficients(count: int, largest: float) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(-largest, largest), min_size=count, max_size=count)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    """Usable calibrations: any radial distortion with a tangential one that is small beside it."""
    focal, skew = draw(st.floats(100, 2000)), draw(st.sampled_from([0.0, 0.0, 5.0, -40.0]))
    matrix = matrix_of(focal, skew)
    if draw(st.booleans()):
        return Camera(WIDTH, HEIGHT, matrix, draw(coefficients(4, 0.3)), "equidistant")
    k1, k2, k3, k4, k5, k6 = draw(coefficients(6, draw(st.sampled_from([0.1, 1.0, 20.0]))))
    rest = draw(st.sampled_from([0, 0, 4, 6]))
    small = draw(coefficients(2, 0.003)), draw(coefficients(rest, 0.003))
    rational = [k4, k5, k6] if rest or draw(st.booleans()) else []
    return Camera(WIDTH, HEIGHT, matrix, [k1, k2, *small[0], k3, *rational, *small[1]])


@given(cameras())
def test_finite_rays_project_back_and_lie_below_the_fold(camera: Camera) -> None:
    rays = camera.rays(PIXELS)
    finite = np.isfinite(rays).all(axis=1)
    assert np.isnan(rays[~finite]).all() and (rays[finite, 2] == 1).all()
    assume(finite.any())
    kept = rays[finite]
    np.testing.assert_allclose(projected(camera, kept), PIXELS[finite], atol=0.05)
    radii = np.linalg.norm(kept[:, :2].astype(np.float64), axis=1)
    radii = np.arctan(radii) if camera.model == "equidistant" else radii
    assert radii.max() <= fold(camera) + 1e-3
    if not camera.distortion[2:4].any():
        assert not opposite_side(camera, PIXELS[finite], kept).any()


@given(cameras(), st.floats(0, 2 * np.pi), st.floats(0, 0.98))
def test_the_ray_of_the_projection_of_a_ray_below_the_fold_is_that_ray(
    camera: Camera, angle: float, share: float
) -> None:
    """Rays are not left out where there are some: the way there and back is the identity."""
    limit = min(fold(camera), 1.5 if camera.model == "equidistant" else 3.0)
    radius = np.tan(share * limit) if camera.model == "equidistant" else share * limit
    ray = np.array([[radius * np.cos(angle), radius * np.sin(angle), 1.0]])
    pixel = projected(camera, ray)
    assume((pixel >= 0).all() and (pixel <= [WIDTH - 1, HEIGHT - 1]).all())
    if camera.model != "equidistant" and camera.distortion[2:4].any():
        step = 1e-6  # tangential distortion may fold the image before its radial part does
        across = [(projected(camera, ray + step * axis) - pixel)[0] / step for axis in np.eye(3)[:2]]
        assume(np.linalg.det(across) > 0.05 * camera.matrix[0, 0] ** 2)
    found = camera.rays(pixel)[0]
    np.testing.assert_allclose(found, ray[0], atol=2e-3 * (1 + radius))
