"""Calibration files of camera_calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from silk_ros.images.calibration_file import read_calibration

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
