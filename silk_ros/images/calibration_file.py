"""Calibration files as camera_calibration writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from ..geometry.camera import Camera


def read_calibration(path: Path) -> Camera:
    """The camera of a camera_calibration YAML file. Raises OSError or ValueError, naming the fix."""
    text = path.read_text(encoding="utf-8")
    try:
        values = yaml.safe_load(text)
        rectified = {
            name: np.array(values[f"{name}_matrix"]["data"], float)
            for name in ("rectification", "projection")
            if f"{name}_matrix" in values
        }
        return Camera(
            values["image_width"],
            values["image_height"],
            np.array(values["camera_matrix"]["data"], float),
            np.array(values["distortion_coefficients"]["data"], float),
            values["distortion_model"],
            **rectified,
        )
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is not a camera calibration ({error}): write one with camera_calibration"
        ) from error
