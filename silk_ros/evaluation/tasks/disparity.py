"""Depths from a rectified stereo pair, from a method's own matches between the two images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from ...geometry.motion import Points
from ...geometry.pnp import DepthMatches, estimate_motion, refine_motion, shift_disparities
from ...geometry.stereo_geometry import MIN_DISPARITY
from ...images.sampling import evenly_spaced
from ...stereo import StereoRules

ROW_TOLERANCE = StereoRules.row_tolerance  # pixels
MAX_OFFSET = 3.0  # pixels
OFFSET_THRESHOLD = 2.0  # pixels of reprojection error above which a match is ignored
OFFSET_STEPS = 30


def stereo_depths(left: Points, right: Points, rows: NDArray[np.int32], focal_baseline: float) -> NDArray[np.float64]:
    """Depths (N,) in metres of keypoints (N, 2) of the left image, NaN where unknown.

    rows (M, 2) are their matches with keypoints (K, 2) of the right image; only matches within one image row are used.
    focal_baseline is the focal length in pixels times the baseline in metres.
    """
    disparity, offset = (left[rows[:, 0]] - right[rows[:, 1]]).astype(np.float64).T
    seen = (np.abs(offset) <= ROW_TOLERANCE) & (disparity >= MIN_DISPARITY)
    depths = np.full(len(left), np.nan)
    depths[rows[seen, 0]] = focal_baseline / disparity[seen]
    return depths


def disparity_offset(steps: Sequence[DepthMatches], matrix: Points) -> float:
    """Pixels by which the disparities of a badly rectified stereo pair are too small, estimated from a moving camera.

    A rotation of 0.01 degrees between the cameras causes a tenth of a pixel. A single pair does not show it, but the
    triangulated points then fit no rigid motion: the offset is the one with which they fit best. Ground truth is not
    used. Noise biases the estimate upwards: by 0.2 px in synthetic scenes with keypoints 0.4 px off and all points
    farther than 20 m.
    """
    chosen = [steps[index] for index in evenly_spaced(len(steps), OFFSET_STEPS)]
    starts = [(step, motion) for step in chosen if (motion := estimate_motion(step, matrix)) is not None]

    def cost(offset: float) -> float:
        total = 0.0
        for step, start in starts:
            # Unweighted: weights grow with the disparity, and would bias the offset.
            shifted = replace(shift_disparities(step, offset), focal_baseline=None)
            inliers = shifted.errors(start, matrix) <= OFFSET_THRESHOLD
            motion = refine_motion(start, inliers, shifted, matrix, OFFSET_THRESHOLD)
            errors = shifted.errors(start if motion is None else motion, matrix).clip(max=OFFSET_THRESHOLD)
            total += float(errors @ errors)
        return total

    if not starts:
        return 0.0
    return float(minimize_scalar(cost, bounds=(-MAX_OFFSET, MAX_OFFSET), method="bounded", options={"xatol": 0.01}).x)
