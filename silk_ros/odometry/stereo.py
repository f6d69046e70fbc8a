"""Stereo odometry in metres: each frame's stereo points, matched into the next frame, give the motion by PnP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.motion import Points, project
from ..geometry.pnp import RANSAC_THRESHOLD, Step, estimate_motion, refine_motion, shift_disparities
from .types import Estimate, Floats, Links, inverse

LONGEST_GAP = 1.0  # seconds that the last motion is believed to go on for
# As in ORB-SLAM2 (Mur-Artal and Tardos 2017), whose settings for KITTI have 35 and 40. A rectification that is a little
# off makes all disparities too small, or all too large: no number of far points makes up for that.
NEAR = 35.0  # baselines
LEAST_NEAR = 100  # how many of the nearest points count as near, however far away


@dataclass(frozen=True, eq=False)
class StereoPoints:
    """The stereo points of one frame: depths (N,) in metres at rows `index` (N,) of its feature cloud.

    focal_baseline: focal length times baseline, in pixels times metres: what depth times disparity is.
    """

    stamp: int
    index: NDArray[np.uint32]
    depths: Floats
    focal_baseline: float


def points_from_stereo_matches(stamp: int, matches: NDArray[Any]) -> StereoPoints:
    """Stereo points of a cloud of ~/stereo_matches (N,), a structured array; those without a depth are left out.

    Raises ValueError for a cloud that lacks the fields.
    """
    missing = {"z", "disparity", "index"} - set(matches.dtype.names or ())
    if missing:
        raise ValueError(f"not a cloud of ~/stereo_matches, it lacks {', '.join(sorted(missing))}: check the remapping")
    depths, disparities = matches["z"].astype(np.float64), matches["disparity"].astype(np.float64)
    usable = np.isfinite(depths) & np.isfinite(disparities) & (depths > 0) & (disparities > 0)
    depths, disparities = depths[usable], disparities[usable]
    focal_baseline = float(np.median(depths * disparities)) if len(depths) else 1.0
    return StereoPoints(stamp, matches["index"][usable].astype(np.uint32), depths, focal_baseline)


def far_points(step: Step, matrix: Points) -> NDArray[np.bool_]:
    """Which (N,) points are beyond NEAR baselines, and not of the nearest LEAST_NEAR. matrix: (3, 3) intrinsics."""
    assert step.focal_baseline is not None
    bound = NEAR * step.focal_baseline / matrix[0, 0]
    nearest = np.sort(step.depths)[:LEAST_NEAR]
    return step.depths > max(bound, nearest[-1] if len(nearest) else 0.0)


def stereo_motion(step: Step, matrix: Points) -> Floats | None:
    """Motion (4, 4) of points from a frame to the next, or None. Of far points only the direction counts."""
    motion = estimate_motion(step, matrix)
    if motion is None:
        return None
    # By what far points say, which may be some percent off, the near ones are some pixels off: they move most.
    rough = step.chosen(step.errors(motion, matrix) <= 3 * RANSAC_THRESHOLD)
    rough = replace(rough, far=far_points(rough, matrix))
    refined = refine_motion(motion, np.ones(len(rough.depths), bool), rough, matrix, RANSAC_THRESHOLD)
    return motion if refined is None else refined


class StereoOdometry:
    """Tracks the left camera. Where a step gives no motion, the last one goes on at the same speed."""

    def __init__(self, matrix: Points, disparity_offset: float = 0.0) -> None:
        """matrix: (3, 3) intrinsics of the left camera. disparity_offset: pixels to add to all disparities."""
        self._matrix, self._offset = matrix, disparity_offset
        self._pose = np.eye(4)
        self._stamp: int | None = None
        self._points: StereoPoints | None = None  # of the last frame
        self._motion, self._seconds = np.eye(4), 0.0  # the last one that was measured

    def process(self, links: Links, points: StereoPoints) -> Estimate:
        """The pose of a frame from its matches with the frame before, whose points were given then."""
        seconds = 0.0 if self._stamp is None else (links.stamp - self._stamp) / 1e9
        before, self._points = self._points, points
        first, self._stamp = self._stamp is None, links.stamp
        if first or before is None:
            return Estimate(links.stamp, self._pose, np.eye(4), 0.0, len(points.depths), 0)
        step, problem, inliers, motion = None, "", 0, None
        if not len(links):
            problem = "no matches"
        elif links.previous != before.stamp:
            problem = "frames are missing in between"
        else:
            step = self._step(links, before)
            motion = stereo_motion(step, self._matrix)
            if motion is None:
                problem = f"no motion fits {len(step.pixels)} matches with stereo points"
            else:
                inliers = int(np.count_nonzero(step.errors(motion, self._matrix) <= RANSAC_THRESHOLD))
        if motion is None:
            motion = self._last_motion(seconds)
        else:
            self._motion, self._seconds = motion, seconds
        self._pose = self._pose @ inverse(motion)
        known = 0 if step is None else len(step.pixels)
        return Estimate(links.stamp, self._pose, motion, seconds, known, inliers, problem)

    def _step(self, links: Links, points: StereoPoints) -> Step:
        """The matches whose point in the frame before is known, as pixels of a camera without distortion."""
        _, rows, found = np.intersect1d(links.index_prev, points.index, return_indices=True)
        pixels_prev, pixels = (
            project(self._matrix, np.column_stack([rays[rows], np.ones(len(rows))]))
            for rays in (links.rays_prev, links.rays)
        )
        step = Step(pixels_prev, points.depths[found], pixels, len(links), points.focal_baseline)
        return shift_disparities(step, self._offset) if self._offset else step

    def _last_motion(self, seconds: float) -> Floats:
        """What the last measured motion comes to in so many seconds."""
        share = min(seconds, LONGEST_GAP) / self._seconds if self._seconds > 0 else 0.0
        motion = np.eye(4)
        turn = Rotation.from_matrix(self._motion[:3, :3]).as_rotvec()
        motion[:3, :3] = Rotation.from_rotvec(share * turn).as_matrix()
        motion[:3, 3] = share * self._motion[:3, 3]
        return motion
