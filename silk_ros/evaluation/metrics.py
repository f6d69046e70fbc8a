"""Metrics of features and matches between images with known geometry (paper, Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.homography import warp_points

Points = NDArray[np.floating]
RANSAC_THRESHOLD = 3.0  # pixels
_ROUNDING = 1e-6  # pixels; tolerance for errors that equal a threshold up to rounding


def share_within(errors: Points | Sequence[float], threshold: float) -> float:
    """Share of errors (N,) in pixels that are at most `threshold`; 0 if there are none.

    Of the matches of a pair this is the matching accuracy, whose mean over pairs is MMA; of the corner errors of pairs
    it is the homography accuracy (HA).
    """
    return float(np.mean(np.asarray(errors) <= threshold + _ROUNDING)) if len(errors) else 0.0


def repeatability(
    homography: Points, points0: Points, points1: Points, size0: tuple[int, int], size1: tuple[int, int], radius: float
) -> float:
    """Share of the keypoints (N, 2) seen by both images that have one of the other image within `radius` pixels.

    Sizes are (width, height). Keypoints of both images count, each in the pixels of the other image; 0 if no keypoint
    is seen by both.
    """
    inverse = np.linalg.inv(homography)
    warped0, warped1 = warp_points(homography, points0), warp_points(inverse, points1)
    seen0, seen1 = _inside(warped0, size1), _inside(warped1, size0)
    distances = [
        _nearest_distance(warped0[seen0], points1[seen1]),
        _nearest_distance(warped1[seen1], points0[seen0]),
    ]
    return share_within(np.concatenate(distances), radius)


def _inside(points: Points, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points (N, 2) lie in an image of (width, height)."""
    return np.all((points >= -_ROUNDING) & (points <= np.array(size) - 1 + _ROUNDING), axis=1)


def _nearest_distance(points: Points, others: Points) -> NDArray[np.float64]:
    """Distance (N,) of points (N, 2) from the nearest of the others (M, 2); inf without others."""
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    kd_tree = cv2.flann.Index(np.ascontiguousarray(others, np.float32), {"algorithm": 4, "leaf_max_size": 10})
    nearest = kd_tree.knnSearch(points.astype(np.float32), 1, params={})[0][:, 0]
    return np.linalg.norm(points - others[nearest], axis=1)


def corner_error(homography: Points, points0: Points, points1: Points, size: tuple[int, int]) -> float:
    """Mean error in pixels of the corners of an image (width, height) under RANSAC's homography; inf without one."""
    cv2.setRNGSeed(0)
    found = cv2.findHomography(points0, points1, cv2.RANSAC, RANSAC_THRESHOLD)[0] if len(points0) >= 4 else None
    if found is None:
        return float("inf")
    width, height = size
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    moved = warp_points(np.asarray(found, np.float64), corners)
    error = np.linalg.norm(warp_points(homography, corners) - moved, axis=1).mean()
    return float(error) if np.isfinite(error) else float("inf")


def recall_auc(errors: Sequence[float], threshold: float) -> float:
    """Area below the curve of recall (share of pairs) over error, up to `threshold`, as a share of its maximum.

    The curve is linear between its points, as in SuperGlue (Sarlin et al., CVPR 2020). Failures have the error inf; the
    area without pairs is 0.
    """
    ordered = np.sort(np.asarray(errors, np.float64))
    reached = int(np.searchsorted(ordered, threshold, side="right"))
    recall = np.arange(reached + 1) / max(len(ordered), 1)
    x = np.concatenate([[0.0], ordered[:reached], [threshold]])
    y = np.append(recall, recall[-1])
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / threshold)
