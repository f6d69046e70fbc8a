"""Calibrations as drivers and tools publish them: used with their one meaning, or refused with the remedy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from silk_ros.geometry.camera import Camera, camera_from_message, is_rectified, rectified_notes

WIDTH, HEIGHT = 848, 800
K = [285.0, 0.0, 424.0, 0.0, 286.0, 400.0, 0.0, 0.0, 1.0]
P = [265.0, 0.0, 420.0, -26.5, 0.0, 265.0, 398.0, 0.0, 0.0, 0.0, 1.0, 0.0]
R = [1.0, 0, 0, 0, 0.8, 0.6, 0, -0.6, 0.8]
ZEROS9, ZEROS12 = [0.0] * 9, [0.0] * 12
PLUMB = [0.1, -0.05, 0.001, 0.002, 0.01]
RATIONAL = [*PLUMB, 0.12, -0.04, 0.005]
PRISM = [*RATIONAL, 0.001, 0.002, 0.0, 0.003]
FISHEYE = [-0.0093, 0.0462, -0.0434, 0.008]
PIXELS = np.array([[0, 0], [847, 0], [424, 400], [100, 799], [600.5, 300.25]])


def info(model: str = "plumb_bob", d: Any = PLUMB, **changes: Any) -> Any:
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)
    fields = dict(width=WIDTH, height=HEIGHT, k=K, r=R, p=P, binning_x=0, binning_y=0, roi=roi)
    return SimpleNamespace(**{**fields, "distortion_model": model, "d": d, **changes})


def region(x: int, y: int, width: int, height: int) -> Any:
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False)


@pytest.mark.parametrize(
    ("model", "d", "canonical", "coefficients"),
    [
        ("plumb_bob", [*PLUMB, 0.0, 0.0, 0.0], "plumb_bob", PLUMB),
        ("plumb_bob", [*PLUMB, *[0.0] * 9], "plumb_bob", PLUMB),
        ("plumb_bob", RATIONAL, "rational_polynomial", RATIONAL),
        ("plumb_bob", [*RATIONAL, *[0.0] * 92], "rational_polynomial", RATIONAL),
        ("plumb_bob", [*PLUMB[:4], 0.0, 0.0], "plumb_bob", PLUMB[:4]),
        ("Plumb_Bob", PLUMB, "plumb_bob", PLUMB),
        ("plumb bob", PLUMB, "plumb_bob", PLUMB),
        ("rational_polynomial", [], "plumb_bob", []),
        ("rational_polynomial", PLUMB[:4], "plumb_bob", PLUMB[:4]),
        ("rational_polynomial", PLUMB, "plumb_bob", PLUMB),
        ("rational_polynomial", [*RATIONAL, *[0.0] * 6], "rational_polynomial", RATIONAL),
        ("rational_polynomial", [*PRISM, 0.0, 0.0], "rational_polynomial", PRISM),
        ("rational_polynomial", [*PRISM, 0.01, -0.01], "rational_polynomial", [*PRISM, 0.01, -0.01]),
        ("", RATIONAL, "rational_polynomial", RATIONAL),
        ("radtan", PLUMB[:4], "plumb_bob", PLUMB[:4]),
        ("radial-tangential", PLUMB[:4], "plumb_bob", PLUMB[:4]),
        ("Brown Conrady", PLUMB, "plumb_bob", PLUMB),
        ("none", [], "plumb_bob", []),
        ("pinhole", [0.0] * 5, "plumb_bob", [0.0] * 5),
        ("equidistant", [], "equidistant", [0.0] * 4),
        ("equidistant", [*FISHEYE, 0.0], "equidistant", FISHEYE),
        ("equidistant", [*FISHEYE, *[0.0] * 8], "equidistant", FISHEYE),
        ("fisheye", FISHEYE, "equidistant", FISHEYE),
        ("EQUI", FISHEYE, "equidistant", FISHEYE),
        ("Kannala Brandt4", [*FISHEYE, 0.0], "equidistant", FISHEYE),
    ],
)
def test_dialects_without_loss_are_one_calibration(
    model: str, d: list[float], canonical: str, coefficients: list[float]
) -> None:
    camera = camera_from_message(info(model, d))
    assert (camera.model, camera.distortion.tolist()) == (canonical, list(coefficients))
    expected = Camera(WIDTH, HEIGHT, np.array(K), np.array(coefficients), canonical)
    assert camera.same_intrinsics(expected)
    np.testing.assert_array_equal(camera.rays(PIXELS), expected.rays(PIXELS))


@pytest.mark.parametrize(
    ("model", "d", "message"),
    [
        ("plumb_bob", PLUMB[:3], "must hold 0 or 4 or 5 or 8 or 12 or 14 finite numbers for 'plumb_bob', not 3"),
        ("plumb_bob", [*RATIONAL, 0.1], "not 9: calibrate the camera"),
        ("rational_polynomial", [0.1] * 15, "not 15: calibrate"),
        ("equidistant", PLUMB, "must hold 0 or 4 finite numbers for 'equidistant', not 5"),
        ("fisheye", [0.1], "must hold 0 or 4 finite numbers for 'fisheye', not 1"),
        ("pinhole", FISHEYE, "for 'pinhole', not 4: name its model, plumb_bob, rational_polynomial or equidistant"),
        ("none", PLUMB, "for 'none', not 5: name its model"),
        ("plumb_bob", [np.nan, 0, 0, 0, 0], "camera_info.d does not hold finite numbers"),
        *((name, [0.1] * 4, "unknown distortion model .* use one of .* or rectify the images and set rectified to true")
          for name in ("fov", "omni", "mei", "thin_prism_fisheye", "double_sphere", "Inverse Brown Conrady", "ftheta")),
    ],
)  # fmt: skip
def test_what_means_none_of_the_models_is_refused(model: str, d: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        camera_from_message(info(model, d))


def test_rectified_images_have_the_calibration_of_p() -> None:
    camera = camera_from_message(info(), rectified=True)
    np.testing.assert_array_equal(camera.matrix, np.reshape(P, (3, 4))[:, :3])
    np.testing.assert_array_equal(camera.projection, np.reshape(P, (3, 4)))  # with the baseline
    np.testing.assert_array_equal(camera.rectification, np.eye(3))
    assert (camera.width, camera.height, camera.model) == (WIDTH, HEIGHT, "plumb_bob")
    assert not camera.distortion.any()
    np.testing.assert_allclose(camera.rays([[420, 398], [685, 398], [420, 133]]), [[0, 0, 1], [1, 0, 1], [0, -1, 1]])


def test_rays_of_a_rectified_image_are_the_turned_rays_of_the_raw_one() -> None:
    raw, rectified = camera_from_message(info()), camera_from_message(info(), rectified=True)
    turned = raw.rays(PIXELS) @ np.reshape(R, (3, 3)).T
    pixels = turned @ rectified.matrix.T
    np.testing.assert_allclose(rectified.rays(pixels[:, :2] / pixels[:, 2:]), turned / turned[:, 2:], atol=1e-5)


def test_rectified_images_take_binning_and_region_as_raw_ones_do() -> None:
    message = info(roi=region(100, 50, 400, 300), binning_x=2, binning_y=2)
    camera, full = camera_from_message(message, rectified=True), camera_from_message(info(), rectified=True)
    assert (camera.width, camera.height) == (200, 150)
    pixels = np.array([[0.0, 0.0], [10, 20], [199, 149]])
    np.testing.assert_allclose(camera.rays(pixels), full.rays([100, 50] + 2 * pixels + 0.5), atol=1e-6)
    baselines = (-each.projection[0, 3] / each.projection[0, 0] for each in (camera, full))
    assert next(baselines) == pytest.approx(next(baselines)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "message",
    [
        info("omni", [0.1] * 7),  # what holds for the raw images does not matter
        info(k=ZEROS9),
        info(r=[np.nan] * 9),
        info(p=[*P[:10], 0.0, 0.0]),
    ],
)
def test_rectified_images_need_p_only(message: Any) -> None:
    np.testing.assert_array_equal(camera_from_message(message, rectified=True).matrix, np.reshape(P, (3, 4))[:, :3])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (info(p=ZEROS12), "camera_info.p is empty, which rectified images need: .* or set rectified to false"),
        (info(p=[np.nan, *P[1:]]), "the rows of camera_info.p must be .* or set rectified to false"),
        (info(p=[-265.0, *P[1:]]), "the rows of camera_info.p must be"),
        (info(p=[*P[:10], 2.0, 0.0]), "the rows of camera_info.p must be"),
        (info(p=ZEROS12, k=ZEROS9, d=[]), "camera_info.k has no focal length: the camera is not calibrated"),
    ],
)
def test_rectified_images_without_p_are_refused(message: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        camera_from_message(message, rectified=True)


def test_without_p_and_distortion_the_images_were_rectified_by_nothing() -> None:
    camera = camera_from_message(info(d=[0.0] * 5, p=ZEROS12, r=ZEROS9), rectified=True)
    np.testing.assert_array_equal(camera.matrix.ravel(), K)


def test_a_camera_info_of_p_alone_is_for_rectified_images() -> None:
    with pytest.raises(ValueError, match=r"camera_info\.k is empty, but p is not: set rectified to true"):
        camera_from_message(info(k=ZEROS9))


@pytest.mark.parametrize(("changes"), [{"k": [*K[:8], 0.0]}, {"k": [*K[:8], 0.0], "p": [*P[:10], 0.0, 0.0]}])
def test_a_missing_constant_is_put_back_also_before_the_region_is_applied(changes: dict[str, Any]) -> None:
    for roi in (region(0, 0, 0, 0), region(100, 50, 400, 300)):
        camera, usual = camera_from_message(info(roi=roi, **changes)), camera_from_message(info(roi=roi))
        assert camera.same_intrinsics(usual)
        np.testing.assert_array_equal(camera.projection, usual.projection)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 0, "height": 0}, "camera_info is for images of 0x0 pixels: set their width and height"),
        ({"height": 0}, "camera_info is for images of 848x0 pixels"),
        ({"binning_x": 900}, "images of 0x800 pixels: .* and a binning that leaves pixels"),
        ({"roi": region(100, 50, 0, 0)}, "region of interest .* is not inside its 848x800 pixels: fix 'roi'"),
        ({"width": 0, "height": 0, "roi": region(0, 0, 100, 100)}, "fix 'roi' or the size in the camera driver"),
    ],
)
@pytest.mark.parametrize("rectified", [False, True])
def test_a_camera_info_without_a_size_is_refused(changes: dict[str, Any], reason: str, rectified: bool) -> None:
    with pytest.raises(ValueError, match=reason):
        camera_from_message(info(**changes), rectified)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"k": [np.nan] * 9}, "camera_info.k is not nine finite numbers"),
        ({"k": ZEROS9, "p": ZEROS12}, "camera_info.k has no focal length"),
        ({"r": [np.nan] * 9}, "camera_info.r is not nine finite numbers"),
        ({"p": [np.inf] * 12}, "camera_info.p is not twelve finite numbers"),
    ],
)
def test_raw_images_need_all_of_the_camera_info(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        camera_from_message(info(**changes))


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("/camera/image_rect", True),
        ("image_rect", True),
        ("/camera/color/image_rect_color/compressed", True),
        ("/stereo/left/image_rect_raw", True),  # of RealSense: its K without distortion is its P
        ("/oak/rgb/image_rect/compressed", True),
        ("/camera/image_rectified", True),
        ("/zed/zed_node/left/color/rect/image", True),
        ("/zed/zed_node/left/color/rect/image/compressed", True),
        ("/zed/zed_node/left/color/raw/image", False),
        ("/camera/image_raw", False),
        ("/camera/image_raw/compressed", False),
        ("/rect/camera/image_raw/compressed", False),
        ("/image_rect_pipeline/camera/image_raw", False),
        ("/camera/rect", True),
        ("/camera/rect/compressed", True),
        ("/cam/rectified/image", True),
        ("/cam/image_color_rect", True),
        ("/stereo/left/image_mono_rect/compressed", True),
        ("/left_rect/image", True),
        ("/rect_left/image_raw", True),
        ("/camera/image_rectified_color", True),
        ("/rectangle/image", False),
        ("/camera/image_unrectified", False),
        ("/camera/direct/image", False),
        ("/correct_rectangles/image_raw/compressed", False),
        ("", False),
    ],
)
def test_the_name_of_the_topic_says_whether_images_are_rectified(topic: str, expected: bool) -> None:
    assert is_rectified("auto", topic) is expected
    assert is_rectified("true", topic) and not is_rectified("false", topic)


@pytest.mark.parametrize(
    ("choice", "topics", "said", "doubt"),
    [
        ("auto", ["/cam/image_rect"], "P of camera_info holds, by the topic's name: set rectified to false", ""),
        (
            "auto",
            ["/image"],
            "not rectified: K and D of camera_info hold, by the topic's name: set rectified to true",
            "",
        ),
        ("auto", ["/image", "/left/image_rect"], "images on /image or /left/image_rect are taken as rectified", ""),
        ("true", ["/image"], "P of camera_info holds, since the parameter rectified is true", ""),
        ("false", ["/image"], "since the parameter rectified is false", ""),
        ("false", ["/a/rect/image"], "K and D of camera_info hold, since", "set rectified to auto or true if they are"),
    ],
)
def test_what_images_are_taken_as_is_said_and_doubted(choice: str, topics: list[str], said: str, doubt: str) -> None:
    notes = rectified_notes(choice, topics)
    assert said in notes[0] and doubt in notes[1] and bool(notes[1]) == bool(doubt)


def test_the_raw_images_of_a_realsense_have_one_calibration_however_they_are_named() -> None:
    """Both are the same, also for the right infrared camera, whose P holds the baseline."""
    message = info(d=[0.0] * 5, k=[265.0, 0, 420, 0, 265, 398, 0, 0, 1], r=np.eye(3).ravel().tolist())
    rectified, raw = camera_from_message(message, True), camera_from_message(message, False)
    np.testing.assert_array_equal(rectified.rays(PIXELS), raw.rays(PIXELS))
    np.testing.assert_array_equal(rectified.projection, raw.projection)
    assert rectified.same_intrinsics(camera_from_message(info("none", [], k=message.k)))


def test_the_size_of_images_is_compared() -> None:
    camera = camera_from_message(info())
    camera.check_size((HEIGHT, WIDTH))
    camera.check_size((HEIGHT, WIDTH, 3))
    with pytest.raises(ValueError, match="camera_info is for 848x800 images, but they are 800x848: publish"):
        camera.check_size((WIDTH, HEIGHT))
