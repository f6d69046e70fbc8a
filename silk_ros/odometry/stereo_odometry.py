"""Stereo odometry in metres: the stereo points of a frame, matched into the next frame, give the motion by PnP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.homography import project
from ..geometry.motion import Points
from ..geometry.pnp import RANSAC_THRESHOLD, DepthMatches, estimate_motion, refine_motion, shift_disparities
from .estimate import Estimate
from .links import Floats, Links, check_fields

LONGEST_GAP = 1.0  # seconds for which the last motion is extrapolated
# As in ORB-SLAM2 (Mur-Artal and Tardos 2017), which uses 35 and 40 on KITTI. An error of the rectification makes all
# disparities too small, or all too large, so that more far points do not make the motion more accurate.
NEAR = 35.0  # baselines up to which a point is near
LEAST_NEAR = 100  # number of nearest points that are near at any depth


@dataclass(frozen=True, eq=False)
class StereoPoints:
    """The stereo points of one frame: depths (N,) in metres at rows `index` (N,) of its feature cloud.

    focal_baseline: focal length times baseline, in pixels times metres; it equals depth times disparity.
    """

    stamp: int
    index: NDArray[np.uint32]
    depths: Floats
    focal_baseline: float


def points_from_stereo_matches(stamp: int, matches: NDArray[Any]) -> StereoPoints:
    """Stereo points of a cloud of ~/stereo_matches (N,), a structured array; points without a depth are left out.

    Raises ValueError for a cloud that lacks the fields.
    """
    check_fields(matches, "~/stereo_matches", "z", "disparity", "index")
    depths, disparities = matches["z"].astype(np.float64), matches["disparity"].astype(np.float64)
    usable = np.isfinite(depths) & np.isfinite(disparities) & (depths > 0) & (disparities > 0)
    depths, disparities = depths[usable], disparities[usable]
    focal_baseline = float(np.median(depths * disparities)) if len(depths) else 1.0
    return StereoPoints(stamp, matches["index"][usable].astype(np.uint32), depths, focal_baseline)


def far_points(step: DepthMatches, matrix: Points) -> NDArray[np.bool_]:
    """Mask (N,) of the points beyond NEAR baselines that are not among the nearest LEAST_NEAR.

    matrix: (3, 3) intrinsics.
    """
    assert step.focal_baseline is not None
    bound = NEAR * step.focal_baseline / matrix[0, 0]
    nearest = np.sort(step.depths)[:LEAST_NEAR]
    return step.depths > max(bound, nearest[-1] if len(nearest) else 0.0)


def stereo_motion(step: DepthMatches, matrix: Points) -> Floats | None:
    """Motion (4, 4) of points from a frame to the next, or None. Far points count only by their direction."""
    motion = estimate_motion(step, matrix)
    if motion is None:
        return None
    # This motion relies on far points too, whose depths may be wrong by some percent: near points, which move most,
    # are then off by some pixels.
    rough = step.chosen(step.errors(motion, matrix) <= 3 * RANSAC_THRESHOLD)
    rough = replace(rough, far=far_points(rough, matrix))
    refined = refine_motion(motion, np.ones(len(rough.depths), bool), rough, matrix, RANSAC_THRESHOLD)
    return motion if refined is None else refined


class StereoOdometry:
    """Poses of the left camera of a stereo pair. A frame without a measured motion continues the last one."""

    def __init__(self, matrix: Points, disparity_offset: float = 0.0) -> None:
        """matrix: (3, 3) intrinsics of the left camera. disparity_offset: pixels to add to all disparities."""
        self._matrix, self._offset = matrix, disparity_offset
        self._pose = np.eye(4)
        self._points: StereoPoints | None = None  # of the last frame
        self._motion, self._seconds = np.eye(4), 0.0  # last measured motion, and the time that it took

    def process(self, links: Links, points: StereoPoints) -> Estimate:
        """The pose of a frame from its matches with the frame before and the stereo points of both."""
        before, self._points = self._points, points
        if before is None:
            return Estimate(links.stamp, self._pose, np.eye(4), 0.0, len(points.depths), 0)
        seconds = (links.stamp - before.stamp) / 1e9
        step = self._step(links, before) if len(links) and links.previous == before.stamp else None
        motion = None if step is None else stereo_motion(step, self._matrix)
        known, inliers, problem = 0 if step is None else len(step.pixels), 0, ""
        if step is not None and motion is not None:
            inliers = int(np.count_nonzero(step.errors(motion, self._matrix) <= RANSAC_THRESHOLD))
            self._motion, self._seconds = motion, seconds
        else:
            motion = self._last_motion(seconds)
            missing = "frames are missing in between" if len(links) else "no matches"
            problem = missing if step is None else f"no motion fits {known} matches with stereo points"
        self._pose = self._pose @ np.linalg.inv(motion)
        return Estimate(links.stamp, self._pose, motion, seconds, known, inliers, problem)

    def _step(self, links: Links, points: StereoPoints) -> DepthMatches:
        """The matches with a stereo point in the frame before, as pixels of a camera without distortion."""
        _, rows, found = np.intersect1d(links.index_prev, points.index, return_indices=True)
        seen = (np.column_stack([rays[rows], np.ones(len(rows))]) for rays in (links.rays_prev, links.rays))
        pixels_prev, pixels = (project(self._matrix, rays) for rays in seen)
        step = DepthMatches(pixels_prev, points.depths[found], pixels, len(links), points.focal_baseline)
        return shift_disparities(step, self._offset) if self._offset else step

    def _last_motion(self, seconds: float) -> Floats:
        """The last measured motion at the same speed over another time."""
        share = min(seconds, LONGEST_GAP) / self._seconds if self._seconds > 0 else 0.0
        motion = np.eye(4)
        turn = Rotation.from_matrix(self._motion[:3, :3]).as_rotvec()
        motion[:3, :3] = Rotation.from_rotvec(share * turn).as_matrix()
        motion[:3, 3] = share * self._motion[:3, 3]
        return motion
