"""Rigid motions of points, projection and alignment.

A pose is (4, 4), camera-to-world. A motion is (4, 4) too and moves points of one camera's frame into another's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Points = NDArray[np.floating]


def motion_between(pose0: Points, pose1: Points) -> NDArray[np.float64]:
    """Motion (..., 4, 4) of points of camera 0 into camera 1."""
    return np.linalg.inv(pose1) @ pose0


def transform(motion: Points, points: Points) -> NDArray[np.float64]:
    """Points (..., N, 3) moved by a motion (..., 4, 4)."""
    return points @ np.swapaxes(motion[..., :3, :3], -1, -2) + motion[..., None, :3, 3]


def rotation_angle(motion: Points) -> NDArray[np.float64]:
    """Angle (...) in degrees of motions (..., 4, 4) or rotations (..., 3, 3)."""
    return np.degrees(Rotation.from_matrix(motion[..., :3, :3]).magnitude())


def angle_between(a: Points, b: Points) -> float:
    """Angle in degrees between two vectors (3,)."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))


def back_project(matrix: Points, pixels: Points, depths: Points) -> NDArray[np.float64]:
    """Points (N, 3) of the camera's frame at pixels (N, 2) and depths z (N,). matrix (3, 3) are the intrinsics."""
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(matrix).T
    return rays * np.asarray(depths, np.float64)[:, None]


def rigid_alignment(source: Points, target: Points, weights: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Motions (..., 4, 4) that align points (..., N, 3) with others by weighted least squares (Kabsch, 1976).

    weights (..., N) are not negative and not all zero. This is the weighted Procrustes problem of the paper's
    Sec. 4.4.2. Leading dimensions are separate problems, solved at once.
    """
    weight = np.broadcast_to(np.asarray(weights, np.float64), source.shape[:-1])[..., None]
    weight = weight / weight.sum(axis=-2, keepdims=True)
    mean_source, mean_target = ((weight * points).sum(axis=-2, keepdims=True) for points in (source, target))
    covariance = np.swapaxes(weight * (target - mean_target), -1, -2) @ (source - mean_source)
    u, _, vt = np.linalg.svd(covariance)
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]  # a rotation, not a reflection
    motion = np.zeros((*source.shape[:-2], 4, 4))
    motion[..., :3, :3] = u @ vt
    motion[..., :3, 3] = (mean_target - mean_source @ np.swapaxes(u @ vt, -1, -2))[..., 0, :]
    motion[..., 3, 3] = 1
    return motion
