"""Rectification: the calibration of a pair from its cameras and the motion between them, and the maps of a camera."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Camera

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


def rectify_pair(left: Camera, right: Camera, motion: NDArray[np.float64]) -> tuple[Camera, Camera]:
    """Both cameras with the rectification and projection of their pair.

    motion: (4, 4), moves points from the axes of the left camera to those of the right one, in metres.
    Raises ValueError, naming the fix, for cameras that cannot be a pair.
    """
    if (left.model == "equidistant") != (right.model == "equidistant"):
        raise ValueError(f"one camera is {left.model}, the other {right.model}: calibrate both with one model")
    size, rotation, translation = (left.width, left.height), motion[:3, :3], motion[:3, 3]
    calibrations = left.matrix, left.distortion, right.matrix, right.distortion
    if left.model == "equidistant":
        flags = cv2.fisheye.CALIB_ZERO_DISPARITY
        found = cv2.fisheye.stereoRectify(*calibrations, size, rotation, translation, flags)[:4]
    else:
        flags = cv2.CALIB_ZERO_DISPARITY
        found = cv2.stereoRectify(*calibrations, size, rotation, translation, flags=flags, alpha=0)[:4]
    *rotations, left_projection, right_projection = (np.asarray(matrix, np.float64) for matrix in found)
    return (
        replace(left, rectification=rotations[0], projection=left_projection),
        replace(right, rectification=rotations[1], projection=right_projection),
    )


def is_rectified_already(camera: Camera) -> bool:
    """Whether the images of a camera have no distortion and the axes and intrinsics of its projection."""
    if camera.model == "equidistant" or camera.distortion.any():
        return False
    return np.array_equal(camera.matrix, camera.projection[:, :3]) and np.array_equal(camera.rectification, np.eye(3))


def rectification_maps(camera: Camera) -> Maps:
    """The columns and the rows (H, W) float32 of the distorted image at the pixels of the rectified one."""
    size, projection = (camera.width, camera.height), camera.projection[:, :3]
    initialise = cv2.fisheye.initUndistortRectifyMap if camera.model == "equidistant" else cv2.initUndistortRectifyMap
    columns, rows = initialise(camera.matrix, camera.distortion, camera.rectification, projection, size, cv2.CV_32FC1)
    return np.asarray(columns, np.float32), np.asarray(rows, np.float32)
