"""Features and matches of two images related by a known homography (paper, Sec. 4.2)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]
RANSAC_THRESHOLD = 3.0  # pixels


def warp_points(homography: Points, points: Points) -> NDArray[np.float64]:
    """Points (N, 2) mapped by a homography (3, 3)."""
    mapped = np.asarray(points, np.float64) @ homography[:, :2].T + homography[:, 2]
    return mapped[:, :2] / mapped[:, 2:]


def reprojection_error(homography: Points, points0: Points, points1: Points) -> NDArray[np.float64]:
    """Distance (N,) in pixels of image 1 between matched points (N, 2) and where they should be."""
    return np.linalg.norm(warp_points(homography, points0) - points1, axis=1)


def repeatability(
    homography: Points,
    points0: Points,
    points1: Points,
    size0: tuple[int, int],
    size1: tuple[int, int],
    radius: float,
) -> float:
    """Share of the keypoints seen by both images, of sizes (width, height), that have a keypoint within `radius`."""
    repeated = seen = 0
    both_ways = (homography, points0, points1, size1), (np.linalg.inv(homography), points1, points0, size0)
    for transform, source, target, size in both_ways:
        warped = warp_points(transform, source)
        warped = warped[((warped >= 0) & (warped <= np.array(size) - 1)).all(axis=1)].astype(np.float32)
        seen += len(warped)
        if len(warped) and len(target):
            index = cv2.flann.Index(np.ascontiguousarray(target, np.float32), {"algorithm": 4, "leaf_max_size": 10})
            squared = index.knnSearch(warped, 1, params={})[1]
            repeated += int((squared <= radius**2).sum())
    return repeated / seen if seen else 0.0


def corner_error(homography: Points, points0: Points, points1: Points, size: tuple[int, int]) -> float:
    """Mean error in pixels of the corners of (width, height) under the homography that RANSAC finds; inf if none."""
    if len(points0) < 4:
        return float("inf")
    cv2.setRNGSeed(0)
    found, _ = cv2.findHomography(points0, points1, cv2.RANSAC, RANSAC_THRESHOLD)
    if found is None:
        return float("inf")
    estimate: Points = np.asarray(found, np.float64)
    width, height = size
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    return float(np.linalg.norm(warp_points(homography, corners) - warp_points(estimate, corners), axis=1).mean())
