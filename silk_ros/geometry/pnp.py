"""The motion of a calibrated camera from points of known depth and their pixels in the next image (PnP)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from .homography import project
from .motion import Points, back_project, transform
from .stereo_geometry import MIN_DISPARITY

RANSAC_THRESHOLD = 3.0  # pixels; in the refinement of stereo points, of the scaled residuals
RANSAC_ITERATIONS = 1000
MAX_REFINEMENTS = 10
MIN_INLIERS = 10


@dataclass(frozen=True, eq=False)
class DepthMatches:
    """Matches of a frame with the next: pixels (N, 2) in both, and depths (N,) in metres in the first.

    matches:        number of matches with or without a depth.
    focal_baseline: focal length times baseline (pixels times metres) of the stereo pair that gave the depths, whose
                    disparities are as uncertain as pixels; None for exact depths.
    """

    pixels: NDArray[np.float64]
    depths: NDArray[np.float64]
    next_pixels: NDArray[np.float64]
    matches: int
    focal_baseline: float | None = None

    def points(self, matrix: Points) -> NDArray[np.float64]:
        """Points (N, 3) in the frame of the first camera with the intrinsics `matrix` (3, 3)."""
        return back_project(matrix, self.pixels, self.depths)

    def residuals(self, motion: Points, matrix: Points) -> NDArray[np.float64]:
        """Residuals (N, 2) in pixels between the matches and the points, moved by a motion (4, 4) and projected.

        Those of stereo points are in units of the expected error: an error of the disparity moves the projection along
        a line, on which the residual is scaled down. Otherwise far points, whose disparity says little, would outweigh
        near ones.
        """
        difference = project(matrix, transform(motion, self.points(matrix))) - self.next_pixels
        if self.focal_baseline is None:
            return difference
        disparities = self.focal_baseline / self.depths
        moved, opposite = (
            project(matrix, transform(motion, back_project(matrix, self.pixels, self.focal_baseline / changed)))
            for changed in (disparities + 0.25, disparities - 0.25)
        )
        line = 2 * (moved - opposite)  # pixels per pixel of disparity
        # (1 + line line^T)^(-1/2), the inverse root of the covariance
        square = np.maximum((line**2).sum(axis=1, keepdims=True), 1e-12)
        along = (line * difference).sum(axis=1, keepdims=True)
        scale = 1 / np.sqrt(1 + square)
        return difference - line * along * (1 - scale) / square

    def errors(self, motion: Points, matrix: Points) -> NDArray[np.float64]:
        """Lengths (N,) of the residuals; inf for points that the motion (4, 4) puts behind the camera."""
        ahead = transform(motion, self.points(matrix))[:, 2] > 0
        return np.where(ahead, np.linalg.norm(self.residuals(motion, matrix), axis=1), np.inf)

    def chosen(self, rows: NDArray[np.bool_]) -> DepthMatches:
        """Some of the matches."""
        return replace(
            self,
            pixels=self.pixels[rows],
            depths=self.depths[rows],
            next_pixels=self.next_pixels[rows],
        )


def estimate_motion(step: DepthMatches, matrix: Points, seed: int = 0) -> NDArray[np.float64] | None:
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
    motion: Points, inliers: NDArray[np.bool_], step: DepthMatches, matrix: Points, threshold: float
) -> NDArray[np.float64] | None:
    """The motion (4, 4) of least squared errors over its inliers, those of the matches (N,) within `threshold`.

    It is found from the motion and the inliers given; None if these become fewer than MIN_INLIERS.
    """
    for _ in range(MAX_REFINEMENTS):
        if inliers.sum() < MIN_INLIERS:
            return None
        chosen = step.chosen(inliers)

        def residuals(pose: NDArray[np.float64], chosen: DepthMatches = chosen) -> NDArray[np.float64]:
            return chosen.residuals(_motion(pose[:3], pose[3:]), matrix).ravel()

        start = np.concatenate([cv2.Rodrigues(motion[:3, :3])[0].ravel(), motion[:3, 3]])
        pose = least_squares(residuals, start, method="lm").x
        motion = _motion(pose[:3], pose[3:])
        before, inliers = inliers, step.errors(motion, matrix) <= threshold
        if (inliers == before).all():
            break
    return np.asarray(motion, np.float64)


def shift_disparities(step: DepthMatches, offset: float) -> DepthMatches:
    """The same stereo step with `offset` pixels added to its disparities; points beyond the horizon stay far away."""
    assert step.focal_baseline is not None
    disparities = np.maximum(step.focal_baseline / step.depths + offset, MIN_DISPARITY / 2)
    return replace(step, depths=step.focal_baseline / disparities)


def _motion(rotation: Any, translation: Any) -> NDArray[np.float64]:
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = cv2.Rodrigues(rotation)[0], np.ravel(translation)
    return motion
