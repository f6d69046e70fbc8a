from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.geometry.camera import Camera
from silk_ros.verification import METHODS, Verification

RNG = np.random.default_rng(0)
MATRIX = np.array([[400.0, 0, 320], [0, 400, 240], [0, 0, 1]])


def camera(distortion: float = 0.0) -> Camera:
    return Camera(640, 480, MATRIX, np.array([distortion, 0, 0, 0, 0]))


@pytest.fixture
def views() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Pixels of 200 points from two places, of which 60 are matched wrongly; which are right."""
    points = np.column_stack([RNG.uniform(-2, 2, 200), RNG.uniform(-1.5, 1.5, 200), RNG.uniform(4, 9, 200)])

    def project(seen: NDArray) -> NDArray[np.float32]:
        pixels = seen @ MATRIX.T
        return (pixels[:, :2] / pixels[:, 2:]).astype(np.float32)

    before, now = project(points), project(points + np.array([0.4, 0.05, -0.3]))
    right = np.arange(200) >= 60
    now[:60] += RNG.uniform(20, 90, (60, 2)).astype(np.float32)
    return now, before, right


def inliers(
    verification: Verification, now: NDArray[np.float32], before: NDArray[np.float32], camera: Camera
) -> NDArray[np.bool_]:
    return verification.inliers(now, before, (camera.rays(now), camera.rays(before)), camera)


@pytest.mark.parametrize("method", ["fundamental", "essential"])
def test_wrong_matches_are_found(views: tuple, method: str) -> None:
    now, before, right = views
    found = inliers(Verification(method), now, before, camera())
    assert found[right].mean() > 0.98
    assert found[~right].mean() < 0.15  # some lie on their epipolar line by chance


def test_an_essential_matrix_of_rectified_images_is_that_of_their_projection(views: tuple) -> None:
    """The intrinsics of rectified images are columns of P; OpenCV misreads a part of an array."""
    projection = np.column_stack([MATRIX, [-40.0, 0, 0]])
    rectified = Camera(640, 480, projection[:, :3], np.zeros(5), projection=projection)
    now, before, _ = views
    found, expected = (inliers(Verification("essential"), now, before, each) for each in (rectified, camera()))
    np.testing.assert_array_equal(found, expected)


def test_an_essential_matrix_takes_the_lens_into_account(views: tuple) -> None:
    now, before, right = views
    strong = camera(distortion=-0.3)

    def distorted(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        rays = (pixels - MATRIX[:2, 2]) / 400
        return (rays * (1 - 0.3 * np.square(rays).sum(axis=1, keepdims=True)) * 400 + MATRIX[:2, 2]).astype(np.float32)

    now, before = distorted(now), distorted(before)
    strict = Verification("essential", threshold=0.2)
    assert inliers(strict, now, before, strong)[right].mean() > 0.98
    assert inliers(strict, now, before, camera())[right].mean() < 0.9


def test_a_camera_may_be_made_of_a_part_of_its_projection(views: tuple) -> None:
    now, before, _ = views
    part = Camera(640, 480, np.column_stack([MATRIX, np.zeros(3)])[:, :3], np.zeros(5))
    essential = Verification("essential")
    np.testing.assert_array_equal(inliers(essential, now, before, part), inliers(essential, now, before, camera()))


def test_without_a_camera_essential_is_fundamental(views: tuple) -> None:
    now, before, _ = views
    np.testing.assert_array_equal(
        Verification("essential").inliers(now, before), Verification("fundamental").inliers(now, before)
    )


@pytest.mark.parametrize("method", ["fundamental", "essential"])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_matches_verify_nothing(views: tuple, method: str, count: int) -> None:
    found = inliers(Verification(method), views[0][:count], views[1][:count], camera())
    assert found.shape == (count,) and found.dtype == bool and not found.any()


def test_the_result_is_the_same_every_time(views: tuple) -> None:
    first, second = (inliers(Verification("essential"), *views[:2], camera()) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "homography"}, "unknown method of verification 'homography': choose one of none, fundamental"),
        ({"outliers": "hide"}, "unknown outliers of verification 'hide': choose one of drop, flag"),
        ({"threshold": 0.0}, "must be above 0, not 0.0"),
        ({"threshold": float("nan")}, "must be above 0, not nan"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Verification(**settings)


def test_it_is_off_unless_a_method_is_chosen() -> None:
    assert [bool(Verification(method)) for method in METHODS] == [False, True, True]


def test_matches_without_a_ray_do_not_agree_and_do_not_change_the_others(views: tuple) -> None:
    now, before, _ = views
    rays, rays_before = camera().rays(now), camera().rays(before)
    verification = Verification("essential")
    missing = np.arange(200) % 4 == 0
    for side in (rays, rays_before):
        side[missing & (np.arange(200) % 8 < 4 if side is rays else True)] = np.nan
    found = verification.inliers(now, before, (rays, rays_before), camera())
    assert not found[missing].any()
    kept = (rays[~missing], rays_before[~missing])
    np.testing.assert_array_equal(
        found[~missing], verification.inliers(now[~missing], before[~missing], kept, camera())
    )
    rays[5:] = np.nan
    assert verification.inliers(now, before, (rays, rays_before), camera()).shape == (200,)
