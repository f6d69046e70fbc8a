"""Calibration files of camera_calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from silk_ros.images.calibration_file import read_calibration, read_mounted, write_calibration

CALIBRATION = """
image_width: 320
image_height: 240
camera_matrix: {rows: 3, cols: 3, data: [200.0, 0, 159.5, 0, 200.0, 119.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0.0, 0.0, 0.0, 0.0]}
"""
PROJECTION = "projection_matrix: {rows: 3, cols: 4, data: [190.0, 0, 159.5, -19.0, 0, 190.0, 119.5, 0, 0, 0, 1, 0]}"


@pytest.mark.parametrize(("text", "focal_length"), [(CALIBRATION, 200), (CALIBRATION + PROJECTION, 190)])
def test_a_calibration_file_gives_the_camera(tmp_path: Path, text: str, focal_length: float) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(text)
    camera = read_calibration(file)
    assert (camera.width, camera.height, camera.model) == (320, 240, "plumb_bob")
    assert camera.matrix[0].tolist() == [200, 0, 159.5] and camera.distortion.tolist() == [0.1, 0, 0, 0, 0]
    assert camera.projection[0, 0] == focal_length
    np.testing.assert_array_equal(camera.rectification, np.eye(3))


@pytest.mark.parametrize("text", ["just text", "image_width: 3", "{unbalanced"])
def test_foreign_calibration_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match="not a camera calibration"):
        read_calibration(file)


OPENCV = """%YAML:1.0
---
image_width: 320
image_height: 240
{matrix}: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 200., 0., 159.5, 0., 200., 119.5, 0., 0., 1. ]
{distortion}: !!opencv-matrix
   rows: {count}
   cols: 1
   dt: d
   data: [ {coefficients} ]
"""
KALIBR = """
cam0:
  camera_model: pinhole
  intrinsics: [200.0, 200.0, 159.5, 119.5]
  distortion_model: {model}
  distortion_coeffs: [0.1, 1e-05, 0.0, 0.0]
  resolution: [320, 240]
  rostopic: /cam0/image_raw
"""
EUROC = """# General sensor definitions.
sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: [0, 0, 1, 0.1, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 1]
rate_hz: 20
resolution: [320, 240]
camera_model: pinhole
intrinsics: [200.0, 200.0, 159.5, 119.5]  # fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [0.1, 0.00001, 0.0, 0.0]
"""


def opencv(
    names: tuple[str, str] = ("camera_matrix", "distortion_coefficients"), count: int = 5, more: str = ""
) -> str:
    coefficients = ", ".join(["1.0e-01", *["1.0000000000000001e-05"] * (count - 1)])
    return OPENCV.format(matrix=names[0], distortion=names[1], count=count, coefficients=coefficients) + more


@pytest.mark.parametrize(
    ("text", "model", "count"),
    [
        (opencv(), "plumb_bob", 5),
        (opencv(("Camera_Matrix", "Distortion_Coefficients")), "plumb_bob", 5),
        (opencv(count=8), "rational_polynomial", 8),
        (opencv(count=4, more="fisheye_model: 1\n"), "equidistant", 4),
        (KALIBR.format(model="radtan"), "plumb_bob", 4),
        (KALIBR.format(model="equidistant"), "equidistant", 4),
        (EUROC, "plumb_bob", 4),
        ("\ufeff" + CALIBRATION.replace("\n", "\r\n"), "plumb_bob", 5),
    ],
)
def test_calibrations_of_other_tools_are_read(tmp_path: Path, text: str, model: str, count: int) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(text, newline="")
    camera = read_calibration(file)
    assert (camera.width, camera.height, camera.model, len(camera.distortion)) == (320, 240, model, count)
    assert camera.matrix[0].tolist() == [200, 0, 159.5] and camera.distortion[0] == 0.1


def test_the_pose_on_the_body_comes_along(tmp_path: Path) -> None:
    file = tmp_path / "sensor.yaml"
    file.write_text(EUROC)
    mounted = read_mounted(file)[1]
    assert mounted is not None and mounted[:3, 3].tolist() == [0.1, 0, 0]
    rows = "".join(f"  - [{', '.join(map(str, row))}]\n" for row in np.linalg.inv(mounted).tolist())
    file.write_text(KALIBR.format(model="radtan") + "  T_cam_imu:\n" + rows)
    np.testing.assert_allclose(read_mounted(file)[1], mounted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%YAML:1.0\nCamera.fx: 458.6\nCamera.fy: 457.3\n", "'camera_matrix' is missing|it is a file of ORB-SLAM"),
        ("%YAML:1.0\nprojection_parameters:\n   fx: 4.6\n", "it is a file of VINS"),
        (
            CALIBRATION.replace("159.5", "159,5"),
            "camera_matrix has 10 numbers instead of 9: write them, decimals",
        ),
        (CALIBRATION.replace("200.0", "0.0"), "camera_info.k has no focal length"),
        (KALIBR.format(model="radtan").replace("pinhole", "omni"), "the camera model 'omni' is not known"),
    ],
)
def test_what_is_wrong_with_a_calibration_is_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"'.*camera.yaml'.*({message})"):
        read_calibration(file)


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "camera.yaml"
    file.write_bytes(CALIBRATION.encode() + b"camera_name: f\xfcr\n")
    with pytest.raises(ValueError, match=r"line 7 of '.*camera.yaml' is not UTF-8 text: save the file as UTF-8"):
        read_calibration(file)


def test_the_motion_from_the_camera_before_comes_along(tmp_path: Path) -> None:
    file = tmp_path / "camchain.yaml"
    motion = np.array([[1, 0, 0, -0.11], [0, 1, 0, 0.02], [0, 0, 1, 0], [0, 0, 0, 1]])
    first = KALIBR.format(model="radtan")
    file.write_text(first + first.replace("cam0", "cam1") + f"  T_cn_cnm1: {motion.tolist()}\n")
    np.testing.assert_array_equal(read_mounted(file, "cam1").from_previous, motion)
    assert read_mounted(file).from_previous is None and read_mounted(file, "cam1").pose is None
    np.testing.assert_array_equal(read_mounted(file, "cam2", "cam1").from_previous, motion)


def test_a_written_calibration_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text(CALIBRATION + PROJECTION)
    camera = read_calibration(tmp_path / "camera.yaml")
    write_calibration(tmp_path / "again.yaml", camera)
    again = read_calibration(tmp_path / "again.yaml")
    assert (again.width, again.height, again.model) == (camera.width, camera.height, camera.model)
    for name in ("matrix", "distortion", "rectification", "projection"):
        np.testing.assert_array_equal(getattr(again, name), getattr(camera, name))
