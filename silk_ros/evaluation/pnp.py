"""The motion of a calibrated camera from points of known depth and where the next image sees them (PnP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .geometry import Points, back_project, project, transform

RANSAC_THRESHOLD = 3.0  # pixels
RANSAC_ITERATIONS = 1000
MAX_REFINEMENTS = 10
MIN_INLIERS = 10


@dataclass(frozen=True, eq=False)
class Step:
    """What links a frame to the next: pixels (N, 2) in both and depths (N,) in metres in the first.

    matches: how many there were, with or without a depth.
    """

    pixels: NDArray[np.float64]
    depths: NDArray[np.float64]
    next_pixels: NDArray[np.float64]
    matches: int

    def points(self, matrix: Points) -> NDArray[np.float64]:
        """Points (N, 3) in the first camera's frame. matrix (3, 3) are the intrinsics."""
        return back_project(matrix, self.pixels, self.depths)

    def errors(self, motion: Points, matrix: Points) -> NDArray[np.float64]:
        """Distances (N,) in pixels of the next image from where a motion (4, 4) puts the points; inf behind it."""
        moved = transform(motion, self.points(matrix))
        ahead = moved[:, 2] > 0
        errors = np.full(len(moved), np.inf)
        errors[ahead] = np.linalg.norm(project(matrix, moved[ahead]) - self.next_pixels[ahead], axis=1)
        return errors


def estimate_motion(step: Step, matrix: Points, seed: int = 0) -> NDArray[np.float64] | None:
    """Motion (4, 4) of points from a camera to the next by RANSAC, refined on its inliers; None if there is none."""
    if len(step.pixels) < MIN_INLIERS:
        return None
    # OpenCV's RANSAC has a generator of its own: what a seed can change is the order of the matches.
    order = np.random.default_rng(seed).permutation(len(step.pixels))
    found, rotation, translation, rows = cv2.solvePnPRansac(
        step.points(matrix)[order],
        step.next_pixels[order],
        matrix,
        None,
        iterationsCount=RANSAC_ITERATIONS,
        reprojectionError=RANSAC_THRESHOLD,
        confidence=0.9999,
        flags=cv2.SOLVEPNP_AP3P,
    )
    if not found:
        return None
    inliers = np.zeros(len(order), bool)
    inliers[order[rows.ravel()]] = True
    return refine_motion(_motion(rotation, translation), inliers, step, matrix, RANSAC_THRESHOLD)


def refine_motion(
    motion: Points, inliers: NDArray[np.bool_], step: Step, matrix: Points, threshold: float
) -> NDArray[np.float64] | None:
    """The motion (4, 4) of least reprojection error over its inliers, those of the matches (N,) within `threshold`.

    It is found from the motion and the inliers given; None if these become fewer than MIN_INLIERS.
    """
    points = step.points(matrix)
    for _ in range(MAX_REFINEMENTS):
        if inliers.sum() < MIN_INLIERS:
            return None
        start = cv2.Rodrigues(motion[:3, :3])[0], np.array(motion[:3, 3:])
        motion = _motion(*cv2.solvePnPRefineLM(points[inliers], step.next_pixels[inliers], matrix, None, *start))
        before, inliers = inliers, step.errors(motion, matrix) <= threshold
        if (inliers == before).all():
            break
    return np.asarray(motion, np.float64)


def _motion(rotation: Any, translation: Any) -> NDArray[np.float64]:
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = cv2.Rodrigues(rotation)[0], np.ravel(translation)
    return motion
