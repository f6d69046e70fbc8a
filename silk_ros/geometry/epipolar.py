"""The epipolar geometry of two views: from known poses, and estimated from matches."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CONFIDENCE, MAX_ITERATIONS = 0.999, 2000  # of RANSAC
FEWEST_FUNDAMENTAL, FEWEST_ESSENTIAL = 8, 5  # matches that an estimate needs
STANDING = 0.2  # share of the threshold; a median motion below it is that of a camera that stands still

Points = NDArray[np.floating]


def fundamental_from_poses(matrix: Points, pose: Points, pose_prev: Points) -> NDArray[np.float64]:
    """Fundamental matrix F (3, 3) with x_prev^T F x = 0 for pixels x of a view and x_prev of the previous one.

    matrix (3, 3) are the intrinsics of both views, poses (4, 4) are camera-to-world.
    """
    relative = np.linalg.inv(pose_prev) @ pose
    x, y, z = relative[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    inverse = np.linalg.inv(matrix)
    return inverse.T @ cross @ relative[:3, :3] @ inverse


def epipolar_distance(fundamental: Points, points: Points, points_prev: Points) -> NDArray[np.float64]:
    """Distances (N,) in pixels of points (N, 2) from their epipolar lines, the larger one of the two images."""
    ones = np.ones((len(points), 1))
    a, b = np.hstack([points, ones]), np.hstack([points_prev, ones])
    line, line_prev = b @ fundamental, a @ fundamental.T
    algebraic = np.abs((a * line).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = [algebraic / np.linalg.norm(part[:, :2], axis=1) for part in (line, line_prev)]
    return np.maximum(*distances)


def estimated_inliers(points: Points, points_prev: Points, threshold: float) -> NDArray[np.bool_]:
    """Which matches (N,) agree with the fundamental matrix that most of them share (MAGSAC), within pixels.

    Of a camera that stands still, which has no such matrix, those that stay where they are.
    """
    if len(points) < FEWEST_FUNDAMENTAL:
        return np.zeros(len(points), bool)
    motion = np.linalg.norm(points - points_prev, axis=1)
    if np.median(motion) < STANDING * threshold:  # OpenCV can search a minute for the matrix of noise
        return np.asarray(motion <= threshold)
    cv2.setRNGSeed(0)
    _, mask = cv2.findFundamentalMat(points, points_prev, cv2.USAC_MAGSAC, threshold, CONFIDENCE, MAX_ITERATIONS)
    return _as_rows(mask, len(points))


def essential_inliers(rays: Points, rays_prev: Points, matrix: Points, threshold: float) -> NDArray[np.bool_]:
    """Which matches (N,) agree with the essential matrix that most of them share (MAGSAC), within pixels.

    rays, rays_prev: (N, 3) undistorted, z = 1; a match with a ray of NaN does not agree.
    matrix: (3, 3) intrinsics, in whose pixels the threshold is.
    """
    inliers = np.zeros(len(rays), bool)
    known = np.flatnonzero(np.isfinite(np.hstack([rays, rays_prev])).all(axis=1))
    if len(known) < FEWEST_ESSENTIAL:
        return inliers
    # Pixels of a camera without distortion.
    straight, straight_prev = ((each[known] @ matrix.T)[:, :2] for each in (rays, rays_prev))
    cv2.setRNGSeed(0)
    _, mask = cv2.findEssentialMat(
        straight, straight_prev, matrix, cv2.USAC_MAGSAC, CONFIDENCE, threshold, MAX_ITERATIONS
    )
    inliers[known] = _as_rows(mask, len(known))
    return inliers


def _as_rows(mask: Any, count: int) -> NDArray[np.bool_]:
    """OpenCV's mask of inliers, or none of `count` matches where it found no geometry."""
    return np.zeros(count, bool) if mask is None else mask.ravel().astype(bool)
