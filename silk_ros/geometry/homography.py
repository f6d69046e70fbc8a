"""Projections of points, homographies, and reprojection errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]


def project(matrix: Points, points: Points) -> NDArray[np.float64]:
    """Pixels (N, 2) of points (N, 3) of the camera's frame."""
    homogeneous = points @ matrix.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def warp_points(homography: Points, points: Points, ahead: bool = False) -> NDArray[np.float64]:
    """Points (N, 2) mapped by a homography (3, 3). ahead: points at or behind the horizon become infinite."""
    mapped = np.asarray(points, np.float64) @ homography[:, :2].T + homography[:, 2]
    depth = mapped[:, 2:]
    where = depth > 1e-9 if ahead else np.ones_like(depth, bool)
    return np.divide(mapped[:, :2], depth, out=np.full_like(mapped[:, :2], np.inf), where=where)


def reprojection_error(homography: Points, points0: Points, points1: Points) -> NDArray[np.float64]:
    """Distance (N,) in pixels of image 1 between matched points (N, 2) and where they should be."""
    return np.linalg.norm(warp_points(homography, points0) - points1, axis=1)
