from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.geometry.camera import Camera

MATRIX = np.array([[450.0, 0, 322], [0, 460, 238], [0, 0, 1]])
PIXELS = np.stack(np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 7)), axis=-1).reshape(-1, 2)


def project(camera: Camera, rays: NDArray[np.float32]) -> NDArray[np.float64]:
    """OpenCV's own projection of rays back to pixels."""
    distort = cv2.fisheye.projectPoints if camera.model == "equidistant" else cv2.projectPoints
    distortion = camera.distortion if len(camera.distortion) else np.zeros(4)
    return distort(rays.astype(float)[:, None], np.zeros(3), np.zeros(3), camera.matrix, distortion)[0][:, 0]


@pytest.mark.parametrize(
    ("model", "distortion"),
    [
        ("", []),
        ("plumb_bob", []),
        ("plumb_bob", [0.0] * 5),
        ("plumb_bob", [0.05, -0.02, 0.001, -0.002]),
        ("plumb_bob", [-0.05, 0.02, 0.001, -0.002, 0.001]),
        ("rational_polynomial", [0.1, -0.05, 0.001, 0.001, 0.01, 0.12, -0.04, 0.005]),
        ("equidistant", [0.03, -0.01, 0.005, -0.001]),
    ],
)
def test_rays_project_back_to_their_pixels(model: str, distortion: list[float]) -> None:
    camera = Camera(640, 480, MATRIX, distortion, model)
    rays = camera.rays(PIXELS)
    assert (rays.shape, rays.dtype) == ((len(PIXELS), 3), np.float32)
    np.testing.assert_array_equal(rays[:, 2], 1)
    np.testing.assert_allclose(project(camera, rays), PIXELS, atol=0.01)


@pytest.mark.parametrize(
    ("width", "height", "focal", "centre", "distortion"),
    [
        (752, 480, (458.654, 457.296), (367.215, 248.375), [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05]),
        (
            1392,
            512,
            (959.791, 956.925),
            (696.022, 224.181),
            [-0.3691481, 0.1968681, 0.001353473, 0.0005677587, -0.06770705],
        ),
    ],
    ids=["EuRoC", "KITTI raw"],
)
def test_strong_distortion_of_real_cameras_is_undone(
    width: int, height: int, focal: tuple[float, float], centre: tuple[float, float], distortion: list[float]
) -> None:
    matrix = np.diag([*focal, 1.0])
    matrix[:2, 2] = centre
    camera = Camera(width, height, matrix, distortion)
    corners = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)])
    np.testing.assert_allclose(project(camera, camera.rays(corners)), corners, atol=0.01)


def test_without_distortion_rays_follow_the_pinhole() -> None:
    rays = Camera(640, 480, MATRIX, []).rays([[322, 238], [772, 238], [322, -222]])
    np.testing.assert_allclose(rays, [[0, 0, 1], [1, 0, 1], [0, -1, 1]], atol=1e-6)


def test_nine_numbers_in_a_row_are_a_matrix() -> None:
    np.testing.assert_array_equal(Camera(640, 480, MATRIX.ravel().tolist(), []).matrix, MATRIX)


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
@pytest.mark.parametrize("pixels", [[], np.empty((0, 2), np.float32)])
def test_no_pixels_have_no_rays(pixels: object, model: str) -> None:
    rays = Camera(640, 480, MATRIX, [0.0] * 4, model).rays(pixels)
    assert (rays.shape, rays.dtype) == ((0, 3), np.float32)


@pytest.mark.parametrize(
    ("matrix", "distortion", "model", "message"),
    [
        (np.zeros((3, 3)), [], "plumb_bob", "no focal length: the camera is not calibrated"),
        (np.diag([450, -450, 1]), [], "plumb_bob", "no focal length"),
        (np.eye(2), [], "plumb_bob", "not nine finite numbers: calibrate the camera"),
        (np.full((3, 3), np.nan), [], "plumb_bob", "not nine finite numbers"),
        (
            MATRIX,
            [0.1] * 4,
            "fov",
            "unknown distortion model 'fov' .* use one of plumb_bob, rational_polynomial, equidistant",
        ),
        (
            MATRIX,
            [0.1] * 3,
            "plumb_bob",
            "must hold 0 or 4 or 5 or 8 .* numbers for 'plumb_bob', not 3",
        ),
        (MATRIX, [0.1] * 5, "equidistant", "must hold 0 or 4 finite numbers for 'equidistant', not 5"),
        (MATRIX, [0.1] * 4, "pinhole", "must hold 0 finite numbers for 'pinhole', not 4: name its model"),
        (MATRIX, [0.1] * 7, "rational_polynomial", "must hold .* 8 or 12 or 14 finite numbers"),
        (MATRIX, [0.1, np.inf, 0, 0, 0], "plumb_bob", "finite numbers"),
    ],
)
def test_useless_intrinsics_are_explained(matrix: object, distortion: list[float], model: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Camera(640, 480, matrix, distortion, model)


@pytest.mark.parametrize(("place", "value"), [((2, 2), 0), ((2, 0), 1), ((1, 0), 450)])
def test_a_matrix_of_another_form_is_refused(place: tuple[int, int], value: float) -> None:
    matrix = MATRIX.copy()
    matrix[place] = value
    with pytest.raises(ValueError, match=r"the rows of camera_info.k must be"):
        Camera(640, 480, matrix, np.zeros(5))


def test_a_camera_without_rectification_is_its_own_rectified_camera() -> None:
    """Drivers leave R and P zero where nothing is calibrated."""
    for camera in (Camera(640, 480, MATRIX, []), Camera(640, 480, MATRIX, [], "", np.zeros(9), np.zeros(12))):
        np.testing.assert_array_equal(camera.rectification, np.eye(3))
        np.testing.assert_array_equal(camera.projection, np.column_stack([MATRIX, np.zeros(3)]))


def test_rectification_and_projection_are_taken_as_rows_of_numbers() -> None:
    camera = Camera(640, 480, MATRIX, [], "", range(9), range(12))
    assert camera.rectification.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert camera.projection.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rectification": np.eye(2)}, "camera_info.r is not nine finite numbers"),
        ({"rectification": np.full((3, 3), np.nan)}, "camera_info.r is not nine finite numbers"),
        ({"projection": np.eye(3)}, "camera_info.p is not twelve finite numbers"),
        ({"projection": np.full((3, 4), np.inf)}, "camera_info.p is not twelve finite numbers"),
    ],
)
def test_a_useless_rectification_is_explained(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Camera(640, 480, MATRIX, [], **changes)
