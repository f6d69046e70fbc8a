"""Calibration files: YAML of camera_calibration, of OpenCV, of EuRoC's sensor.yaml and of kalibr."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .text_files import read_text

FOREIGN = {  # a key in the files of other programs -> their name
    "camera.fx": "ORB-SLAM",
    "camera1.fx": "ORB-SLAM",
    "projection_parameters": "VINS",
}
Values = dict[str, Any]


class Mounted(NamedTuple):
    """A camera of a file, and where it is mounted as far as the file says it.

    pose: (4, 4), of the camera in the body, in metres. from_previous: (4, 4), moves points from the axes of the camera
    before it in a file of kalibr to its own.
    """

    camera: Camera
    pose: NDArray[np.float64] | None = None
    from_previous: NDArray[np.float64] | None = None


def read_calibration(path: Path, camera: str = "cam0") -> Camera:
    """The camera of a YAML file of camera_calibration, of OpenCV's FileStorage, of EuRoC or of kalibr.

    camera: which one of a file of kalibr. Raises OSError, and ValueError, naming the file and the fix, for others.
    """
    return read_mounted(path, camera).camera


def read_mounted(path: Path, *cameras: str) -> Mounted:
    """The camera of a file, and where it is mounted if EuRoC or kalibr gives that.

    cameras: which one of a file of kalibr, the first of these names that it has; cam0 without names.
    Raises as `read_calibration` does.
    """
    try:
        values = _lower(yaml.safe_load(_plain_yaml(read_text(path))))
        for camera in cameras or ("cam0",):
            if camera in values:
                return _kalibr(values[camera])
        if "intrinsics" in values:
            return _euroc(values)
        return Mounted(_camera_calibration(values))
    except KeyError as error:
        other = next((f", it is a file of {name}" for key, name in FOREIGN.items() if key in values), "")
        raise _foreign(path, f"{error} is missing{other}") from error
    except (yaml.YAMLError, TypeError, AttributeError) as error:
        raise _foreign(path, " ".join(str(error).split())) from error
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error


def write_calibration(path: Path, camera: Camera) -> None:
    """Write a YAML file of camera_calibration, which `read_calibration` reads. Raises OSError."""
    matrices = {"camera_matrix": camera.matrix, "rectification_matrix": camera.rectification}
    matrices["projection_matrix"] = camera.projection
    matrices["distortion_coefficients"] = camera.distortion.reshape(1, -1)
    values: Values = {"image_width": camera.width, "image_height": camera.height, "camera_name": path.stem}
    values["distortion_model"] = camera.model
    for name, matrix in matrices.items():
        values[name] = {"rows": matrix.shape[0], "cols": matrix.shape[1], "data": matrix.ravel().tolist()}
    path.write_text(yaml.safe_dump(values, sort_keys=False, default_flow_style=None), encoding="utf-8")


def _foreign(path: Path, problem: str) -> ValueError:
    return ValueError(f"'{path}' is not a camera calibration ({problem}): write one with camera_calibration")


def _plain_yaml(text: str) -> str:
    """The text without what only OpenCV understands: its first line, %YAML:1.0, and the type of its matrices."""
    return re.sub(r"\A%YAML:.*|!!opencv-matrix", "", text)


def _lower(values: Values) -> Values:
    """Older versions of OpenCV write Camera_Matrix."""
    return {str(key).lower(): value for key, value in values.items()}


def _numbers(values: Values, key: str, count: int | None = None) -> NDArray[np.float64]:
    """The numbers of a list, or of a matrix with `data`. Raises ValueError, naming the fix, for another count."""
    value = values[key]
    numbers = np.array(value["data"] if isinstance(value, dict) else value, np.float64).ravel()
    if count is not None and len(numbers) != count:
        raise ValueError(f"{key} has {len(numbers)} numbers instead of {count}: write them, decimals with a point")
    return numbers


def _camera_calibration(values: Values) -> Camera:
    model = "equidistant" if values.get("fisheye_model") else values.get("distortion_model", "")
    return Camera(
        int(values["image_width"]),
        int(values["image_height"]),
        _numbers(values, "camera_matrix", 9),
        _numbers(values, "distortion_coefficients"),
        model,
        _numbers({"rectification_matrix": np.zeros(9)} | values, "rectification_matrix", 9),
        _numbers({"projection_matrix": np.zeros(12)} | values, "projection_matrix", 12),
    )


def _pinhole(values: Values, coefficients: str) -> Camera:
    """The camera of EuRoC's and kalibr's keys. Raises ValueError for a camera that is no pinhole with distortion."""
    if values.get("camera_model", "pinhole") != "pinhole":
        raise ValueError(f"the camera model '{values['camera_model']}' is not known: calibrate a pinhole camera")
    fx, fy, cx, cy = _numbers(values, "intrinsics", 4)
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    width, height = _numbers(values, "resolution", 2).astype(int).tolist()
    return Camera(width, height, matrix, _numbers(values, coefficients), values["distortion_model"])


def _euroc(values: Values) -> Mounted:
    return Mounted(_pinhole(values, "distortion_coefficients"), _transform(values, "t_bs"))


def _kalibr(values: Values) -> Mounted:
    from_body = _transform(values, "T_cam_imu")
    pose = None if from_body is None else np.asarray(np.linalg.inv(from_body), np.float64)
    return Mounted(_pinhole(values, "distortion_coeffs"), pose, _transform(values, "T_cn_cnm1"))


def _transform(values: Values, key: str) -> NDArray[np.float64] | None:
    return _numbers(values, key, 16).reshape(4, 4) if key in values else None
