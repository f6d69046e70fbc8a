from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from silk_ros.geometry.camera import Camera
from silk_ros.odometry.image_size import ENOUGH, OtherSize, SizeCheck
from silk_ros.odometry.tracking import Tracking

MATCHES = np.dtype([("u", "<f4"), ("v", "<f4")])


def camera(width: int, height: int) -> Camera:
    return Camera(width, height, np.array([[400.0, 0, width / 2], [0, 400, height / 2], [0, 0, 1]]), np.zeros(5))


def matches(width: int, height: int, count: int = 500) -> np.ndarray:
    """Matches all over an image, its corners among them."""
    points = np.zeros(count, MATCHES)
    rng = np.random.default_rng(0)
    points["u"], points["v"] = rng.uniform(0, width - 1, count), rng.uniform(0, height - 1, count)
    points[0], points[1] = (0, 0), (width - 1, height - 1)
    return points


def test_matches_of_the_cameras_images_are_fine() -> None:
    check = SizeCheck()
    for _ in range(100):
        check.check(matches(640, 480), camera(640, 480))
    assert not check.doubt
    check.check(np.zeros(0, MATCHES), camera(640, 480))


@pytest.mark.parametrize("size", [(1280, 960), (640, 600), (752, 480)])
def test_matches_outside_of_the_images_are_refused_with_the_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(OtherSize, match=rf"640x480 pixels, but .* column {size[0] - 1} .* publish the camera_info"):
        SizeCheck().check(matches(*size), camera(640, 480))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_a_pixel_of_no_image_says_nothing_of_the_size(value: float) -> None:
    points = matches(640, 480)
    points["u"][::3] = value
    SizeCheck().check(points, camera(640, 480))


def test_images_that_are_much_smaller_raise_a_doubt_until_the_calibration_fits() -> None:
    check = SizeCheck()
    for _ in range(ENOUGH // 500):
        assert not check.doubt
        check.check(matches(320, 240), camera(640, 480))
    assert "640x480 pixels, but all matches are within the first 319 columns and 239 rows" in check.doubt
    check.check(matches(320, 240), camera(320, 240))
    assert not check.doubt


def test_one_wide_match_ends_the_doubt() -> None:
    check = SizeCheck()
    for size in ((320, 240), (640, 480)):
        check.check(matches(*size, count=ENOUGH), camera(640, 480))
    assert not check.doubt


def test_poses_go_on_once_the_calibration_is_that_of_the_images(room: Any) -> None:
    tracking = Tracking("mono")
    half = Camera(320, 240, room.camera.matrix, np.zeros(5))
    clouds = room.clouds(room.path(40))
    for cloud in clouds[:5]:
        if len(cloud.matches):
            with pytest.raises(OtherSize):
                tracking.process("matches", cloud.stamp, cloud.matches, half)
    found = [tracking.process("matches", cloud.stamp, cloud.matches, room.camera) for cloud in clouds[5:]]
    assert found[-1] and not found[-1][0].problem


def test_another_frame_id_starts_again_from_the_last_pose(room: Any) -> None:
    tracking, found = Tracking("stereo"), []
    for cloud in room.clouds(room.path(10)):
        frame_id = "front" if cloud.stamp < 1.5e9 else "rear"
        for kind, points in (("matches", cloud.matches), ("stereo", cloud.stereo)):
            found += tracking.process(kind, cloud.stamp, points, room.camera, frame_id)
    (reason,) = tracking.restarts()
    assert "matches come from 'rear' and no more from 'front'" in reason
    np.testing.assert_allclose(found[5].pose, found[4].pose)
