"""Monocular odometry, up to scale: motion of the camera and depths of the tracks, estimated in turn.

Every track has an inverse depth with a variance in the last keyframe. The pose of a frame minimises the reprojection
errors of the tracks, weighted by their uncertainty: a track of unknown depth counts only across its epipolar line. At a
keyframe an extended Kalman filter corrects the depths, and new tracks get the depth of their neighbours. At the start
all depths are 1 with a large variance, which sets the scale; the first frames are processed forwards, backwards and
forwards again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .depth import NO_TRACKS, ExpectedDepths, Keyframe, TwoFrameTracks
from .estimate import Estimate
from .links import Floats, Links

MATCH_NOISE = 1.4  # pixels, standard deviation of the error that a match adds to a track's position
KEYFRAME_PARALLAX = 20.0  # median motion of the tracks by translation, in pixels, that makes a keyframe
KEYFRAME_SHARE = 0.1  # share of the keyframe's tracks below which a new keyframe is made
GATE = 3.0  # standard deviations up to which a track fits the motion
MIN_INLIERS, MIN_SHARE = 15, 0.3  # number and share of tracks that must fit the motion
START_PARALLAX = 40.0  # pixels of parallax after which the first depths are trusted
START_FRAMES = 80  # frames after which the start begins anew


class MonoOdometry:
    """Poses of one camera from its matches; the unit of length is the median depth of the first frame."""

    def __init__(self, focal_length: float) -> None:
        """focal_length: of the camera, in pixels."""
        self._focal_length = focal_length
        self._start: list[Links] | None = []  # the frames until the first depths are known, then None
        self._begin(0)

    @property
    def started(self) -> bool:
        """Whether the camera has moved enough for poses."""
        return self._start is None

    def _begin(self, stamp: int) -> None:
        """Make the frame before the first matches the first keyframe, with unknown depths."""
        self._keyframe = Keyframe(stamp, np.eye(4), *NO_TRACKS)
        self._expected = ExpectedDepths()
        self._stamp = stamp  # of the last frame
        self._motion: Floats = np.eye(4)  # from the keyframe to the last frame
        self._speed: Floats = np.eye(4)  # from the frame before to the last frame
        self._frames = 0  # since the keyframe
        self._moved = 0.0  # pixels of parallax over all keyframes

    def process(self, links: Links) -> list[Estimate]:
        """The new poses after a frame: none until the camera has moved enough, then all since the start, then one."""
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
        return self._finish_start(self._start) if self._start and self._moved >= START_PARALLAX else []

    def _finish_start(self, start: list[Links]) -> list[Estimate]:
        """Track back to the first frame with the depths that are known now, and from there forwards again."""
        self._start = None
        self._speed = np.linalg.inv(self._speed).astype(np.float64)
        for index in reversed(range(len(start))):
            self._track(start[index].reversed(), keyframe=index == 0)
        self._speed = np.linalg.inv(self._speed).astype(np.float64)
        self._keyframe = replace(self._keyframe, pose=np.eye(4))
        count = len(self._keyframe.tracks)
        first = Estimate(start[0].previous, np.eye(4), np.eye(4), 0.0, count, count)
        return [first, *(self._track(links) for links in start)]

    def _track(self, links: Links, keyframe: bool = False) -> Estimate:
        """The pose of a frame. It becomes a keyframe if `keyframe` is set or the last keyframe is too far away."""
        links = links.sorted()
        tracks, rows = self._tracks_seen(links)
        before = self._motion
        self._motion = tracks.motion(before)
        inliers = tracks.errors(self._motion) <= GATE
        count, problem = int(np.count_nonzero(inliers)), ""
        if count < max(MIN_INLIERS, MIN_SHARE * len(inliers)):
            problem = f"only {count} of {len(inliers)} tracks fit one motion" if len(links) else "no matches"
            self._motion = self._speed @ before
        self._speed = self._motion @ np.linalg.inv(before)
        pose = self._keyframe.pose @ np.linalg.inv(self._motion)
        seconds = (links.stamp - self._stamp) / 1e9
        self._stamp = links.stamp
        estimate = Estimate(links.stamp, pose, self._speed, seconds, len(inliers), count, problem)
        parallax = self._focal_length * tracks.parallax(self._motion)
        if problem:
            self._expected.forget_neighbours()
            self._make_keyframe(links, pose, rows[:0], np.empty(0), np.empty(0))
        elif keyframe or parallax >= KEYFRAME_PARALLAX or len(inliers) < KEYFRAME_SHARE * len(self._keyframe.tracks):
            mean, variance = tracks.update(self._motion)
            fine = inliers & np.isfinite(mean)
            self._moved += parallax
            self._make_keyframe(links, pose, rows[fine], mean[fine], variance[fine])
        return estimate

    def _tracks_seen(self, links: Links) -> tuple[TwoFrameTracks, NDArray[np.intp]]:
        """The tracks of the keyframe that a frame sees, and their rows in `links`."""
        if links.previous == self._keyframe.stamp:
            self._keyframe = self._keyframe.with_first_matches(links, self._expected)
        known = self._keyframe
        _, rows, found = np.intersect1d(known.tracks, links.tracks, assume_unique=True, return_indices=True)
        self._frames += 1
        noise = MATCH_NOISE * np.sqrt(self._frames) / self._focal_length
        tracks = TwoFrameTracks(known.rays[rows], known.mean[rows], known.variance[rows], links.rays[found], noise)
        return tracks, found

    def _make_keyframe(
        self, links: Links, pose: Floats, rows: NDArray[np.intp], mean: Floats, variance: Floats
    ) -> None:
        """Make a frame the keyframe. mean, variance: inverse depths of the tracks in some rows of `links`."""
        self._expected.learn(links.rays[rows], mean, variance)
        means, variances = self._expected.at(links.rays)
        means[rows], variances[rows] = mean, variance
        self._keyframe = Keyframe(links.stamp, pose, links.tracks, links.rays, means, variances)
        self._motion, self._frames = np.eye(4), 0
