"""Monocular odometry, up to scale: the motion of the camera and the depths of the tracks, each from the other.

Every track has an inverse depth with a variance, as of the last keyframe. A frame's pose is the one by which the tracks
land where they are seen, each weighted by what its uncertain depth lets expect; a track of unknown depth thus counts
across its epipolar line only. At a keyframe the depths are corrected by what was seen (an extended Kalman filter), and
new tracks are expected to be as deep as their neighbours. So no essential matrix is needed to start: the first depths
are all 1 with a large variance, which sets the scale, and the first frames are gone through forth and back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .depth import View
from .types import Estimate, Floats, Links, inverse

MATCH_NOISE = 1.4  # pixels, standard deviation of the error that each match adds to a track's position
KEYFRAME_PARALLAX = 20.0  # pixels that half of the tracks have moved by translation
KEYFRAME_SHARE = 0.1  # of the keyframe's tracks that are still there, at least
FIRST_SPREAD = 0.5  # relative standard deviation of depths of which nothing is known
NEIGHBOURS = 5
LEAST_SPREAD = 0.4  # relative standard deviation of a depth guessed from neighbours, at least
FINE = 0.2  # standard deviation of an inverse depth that neighbours go by, in units of the median
GATE = 3.0  # standard deviations
MIN_INLIERS, MIN_SHARE = 15, 0.3
START_PARALLAX = 40.0  # pixels of motion until the first depths are believed
START_FRAMES = 80  # frames to wait for it, at most


class MonoOdometry:
    """Tracks a camera; units are the median depth of the first frame.

    `started`: whether the camera has moved enough for poses. `tracks`: how many there are in the keyframe.
    """

    def __init__(self, focal_length: float) -> None:
        """focal_length: pixels."""
        self._focal_length = focal_length
        self._pose = np.eye(4)  # of the keyframe
        self._median = 1.0  # inverse depth: the scale
        self._start: list[Links] | None = []  # until the first depths are known
        self._keyframe_stamp = self._stamp = 0  # of the keyframe and of the last frame
        self._tracks = np.empty(0, np.uint32)  # of the keyframe, ascending
        self._rays = np.empty((0, 2))
        self._mean, self._variance = np.empty(0), np.empty(0)  # of inverse depths
        self._tree: cKDTree | None = None  # of the tracks that neighbours go by
        self._tree_mean = np.empty(0)
        self._motion = np.eye(4)  # from the keyframe to the last frame
        self._speed = np.eye(4)  # from the frame before to the last frame
        self._frames = 0  # since the keyframe
        self._moved = 0.0  # pixels of parallax over all keyframes

    @property
    def started(self) -> bool:
        return self._start is None

    @property
    def tracks(self) -> int:
        return len(self._tracks)

    def _begin(self, stamp: int) -> None:
        """A first keyframe, of whose tracks nothing is known: the frame before the first matches."""
        self._tree, self._median, self._moved = None, 1.0, 0.0
        self._motion = self._speed = np.eye(4)
        self._pose, self._keyframe_stamp, self._stamp, self._frames = np.eye(4), stamp, stamp, 0
        self._tracks = self._tracks[:0]
        self._rays, self._mean, self._variance = self._rays[:0], self._mean[:0], self._variance[:0]

    def process(self, links: Links) -> list[Estimate]:
        """The poses that a frame makes known: none until the camera has moved enough, then all since the start."""
        if self._start is None:
            return [self._track(links)]
        lost_frame = bool(self._start) and links.previous != self._start[-1].stamp
        if lost_frame or not len(links) or len(self._start) >= START_FRAMES:
            self._start.clear()
        if not len(links):
            return []
        if not self._start:
            self._begin(links.previous)
        self._start.append(links)
        if self._track(links).problem:
            self._start.clear()
        return self._finish_start() if self._start and self._moved >= START_PARALLAX else []

    def _finish_start(self) -> list[Estimate]:
        """Take what is now known of the depths back to the first frame, and go on from there."""
        start, self._start = self._start or [], None
        for index in reversed(range(len(start))):
            self._speed = inverse(self._speed) if index == len(start) - 1 else self._speed
            self._track(start[index].reversed(), keyframe=index == 0)
        self._pose, self._speed = np.eye(4), inverse(self._speed)
        first = Estimate(start[0].previous, self._pose, np.eye(4), 0.0, self.tracks, self.tracks)
        return [first, *(self._track(links) for links in start)]

    def _track(self, links: Links, keyframe: bool = False) -> Estimate:
        """The pose of a frame, which becomes a keyframe if it is to be one or the last is too far away."""
        links = links.sorted()
        view, used = self._view(links)
        before = self._motion
        self._motion = view.motion(before)
        inliers = view.errors(self._motion) <= GATE
        count, problem = int(np.count_nonzero(inliers)), ""
        if count < max(MIN_INLIERS, MIN_SHARE * len(inliers)):
            problem = f"only {count} of {len(inliers)} tracks fit one motion" if len(links) else "no matches"
            self._motion = self._speed @ before
        self._speed = self._motion @ inverse(before)
        pose = self._pose @ inverse(self._motion)
        seconds = (links.stamp - self._stamp) / 1e9
        estimate = Estimate(links.stamp, pose, self._speed, seconds, len(inliers), count, problem)
        self._stamp = links.stamp
        parallax = self._focal_length * view.parallax(self._motion)
        if problem:
            self._tree = None
            self._make_keyframe(links, pose, used[:0], np.empty(0), np.empty(0))
        elif keyframe or parallax >= KEYFRAME_PARALLAX or len(inliers) < KEYFRAME_SHARE * self.tracks:
            mean, variance = view.update(self._motion)
            fine = inliers & np.isfinite(mean)
            self._moved += parallax
            self._make_keyframe(links, pose, used[fine], mean[fine], variance[fine])
        return estimate

    def _view(self, links: Links) -> tuple[View, NDArray[np.intp]]:
        """The tracks of the keyframe that a frame sees, and the rows of `links` that they are."""
        if links.previous == self._keyframe_stamp:  # what the keyframe saw and only now is matched
            fresh = links.rows(np.flatnonzero(~np.isin(links.tracks, self._tracks)))
            mean, variance = self._expected(fresh.rays_prev)
            self._tracks, order = np.unique(np.concatenate([self._tracks, fresh.tracks]), return_index=True)
            self._rays = np.concatenate([self._rays, fresh.rays_prev])[order]
            self._mean = np.concatenate([self._mean, mean])[order]
            self._variance = np.concatenate([self._variance, variance])[order]
        _, rows, found = np.intersect1d(self._tracks, links.tracks, assume_unique=True, return_indices=True)
        self._frames += 1
        noise = MATCH_NOISE * np.sqrt(self._frames) / self._focal_length
        return View(self._rays[rows], self._mean[rows], self._variance[rows], links.rays[found], noise), found

    def _make_keyframe(
        self, links: Links, pose: Floats, rows: NDArray[np.intp], mean: Floats, variance: Floats
    ) -> None:
        """Of a frame at a pose; inverse depths are known of some rows of `links`."""
        good = np.sqrt(variance) < FINE * self._median
        if np.count_nonzero(good) > NEIGHBOURS:
            self._median = float(np.median(mean[good]))
            self._tree, self._tree_mean = cKDTree(links.rays[rows[good]]), mean[good]
        self._tracks, self._rays = links.tracks, links.rays
        self._mean, self._variance = self._expected(links.rays)
        self._mean[rows], self._variance[rows] = mean, variance
        self._pose, self._keyframe_stamp = pose, links.stamp
        self._motion, self._frames = np.eye(4), 0

    def _expected(self, rays: Floats) -> tuple[Floats, Floats]:
        """Inverse depths (N,) that tracks at (N, 2) are expected to have, and their variances, by their neighbours."""
        if self._tree is None:
            return np.full(len(rays), self._median), np.full(len(rays), (FIRST_SPREAD * self._median) ** 2)
        near = self._tree_mean[self._tree.query(rays, NEIGHBOURS)[1]]
        mean = np.median(near, axis=1)
        spread = 1.48 * np.median(np.abs(near - mean[:, None]), axis=1)
        return mean, np.maximum(spread, LEAST_SPREAD * mean) ** 2
