"""Visual odometry with one camera or a stereo pair: a window of keyframes, and between them a pose by PnP."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.motion import motion_between
from .estimate import Estimate
from .landmarks import COUNT, new_landmarks
from .localisation import FEWEST, localise
from .observations import NO_TRACKS, Floats, SeenTracks, Tracks
from .relocation import Appearance
from .start import Start
from .window import AdjustmentError, Window

KEYFRAME_PARALLAX = 15.0  # pixels by which the translation has moved the median track since the last keyframe
KEYFRAME_LANDMARKS, KEYFRAME_TRACKS = 0.6, 0.4  # shares that a frame still sees; below either, it becomes a keyframe
LONGEST_LOSS = 2 * 10**9  # nanoseconds without a pose after which one camera starts again
LONGEST_GAP = 1.0  # seconds for which the last motion is extrapolated


class VisualOdometry:
    """Poses of a camera, in metres with stereo matches, else in units of the distance of the first two keyframes.

    Without stereo matches the first poses come when the camera has moved enough, for all frames since the start. A
    frame that sees too few of the landmarks continues the last motion, until landmarks are found again by their
    descriptors or, where that takes too long, the window begins anew.


    stereo: whether a start waits for stereo matches.
    """

    def __init__(self, focal_length: float, stereo: bool = False) -> None:
        """focal_length: of the camera, in pixels."""
        self._focal_length, self.stereo = focal_length, stereo
        self._window: Window | None = None
        self._appearance = Appearance()
        self._starting = Start(focal_length)
        self._keyframe_landmarks = 0  # that the last keyframe saw
        self._stamp, self._pose = 0, np.eye(4)  # of the last frame with a measured pose; 0: none yet
        self._motion, self._seconds = np.eye(4), 0.0  # to it from the one before, and the time that it took
        self._covariance: Floats | None = None  # of the last keyframe

    @property
    def started(self) -> bool:
        """Whether poses are known."""
        return self._stamp > 0

    @property
    def window(self) -> Window | None:
        """The keyframes and landmarks; None during a start."""
        return self._window

    def process(self, now: SeenTracks, before: SeenTracks, features: NDArray[Any] | None = None) -> list[Estimate]:
        """The new poses after a frame.

        before:   the tracks of `now` as the frame before saw them.
        features: cloud of the frame's features, a structured array (N,); None if it is not known.
        """
        now, before = self._appearance.named(now), self._appearance.named(before)
        if self._window is None:
            return self._start(now, before)
        window, stamp = self._window, now.stamp
        if window.newest.seen.stamp == before.stamp:
            window.see(before)
        found = localise(now, window.tracks, window.points, self._focal_length)
        if found is None and features is not None and self._appearance.relocate(window, features):
            now = self._appearance.named(now)
            found = localise(now, window.tracks, window.points, self._focal_length)
        if found is None:
            return [self._lost(now)]
        pose, agree, count = found
        if self._is_keyframe(now, pose, agree):
            try:
                self._add(now, pose, agree)
            except AdjustmentError as error:
                self._forget()
                return [self._estimate(stamp, self._guess(stamp), count, 0, str(error))]
            pose = window.newest.pose
            self._appearance.learn(window, features)
        return [self._measured(stamp, pose, count, len(agree))]

    # The start.

    def _start(self, now: SeenTracks, before: SeenTracks) -> list[Estimate]:
        guess = self._guess(now.stamp)
        guesses = [self._estimate(now.stamp, guess, len(now), 0, "the window begins anew")] if self.started else []
        if self.stereo:
            if np.count_nonzero(now.disparities > 0) < FEWEST:
                return guesses
            self._begin(now, guess)
            return [self._measured(now.stamp, guess, len(now), len(now))]
        start = self._starting
        if not start.waiting and len(before):
            start.waiting.append((before, self._guess(before.stamp)))
        self._window = start.add(now, guess) if start.waiting else None
        if self._window is None:
            return guesses
        self._keyframe_landmarks, self._covariance = len(self._window.tracks), self._window.covariance()
        poses = []
        if not self.started:
            poses.append(self._measured(start.waiting[0][0].stamp, np.eye(4), len(now), len(now)))
        for seen, _ in start.waiting[1:] if poses else start.waiting[-1:]:
            found = localise(seen, self._window.tracks, self._window.points, self._focal_length)
            if found is not None:
                poses.append(self._measured(seen.stamp, found[0], found[2], len(found[1])))
        return poses

    def _begin(self, seen: SeenTracks, pose: Floats) -> None:
        """Begin a window with a keyframe at a known pose."""
        self._window = Window(self._focal_length)
        try:
            self._add(seen, pose, NO_TRACKS)
        except AdjustmentError:
            self._forget()

    def _forget(self) -> None:
        """Wait for a new start; its scale is that of the last speed."""
        speed = float(np.linalg.norm(self._motion[:3, 3])) / self._seconds if self._seconds > 0 else 0.0
        self._window, self._starting = None, Start(self._focal_length, speed)

    # Keyframes.

    def _is_keyframe(self, now: SeenTracks, pose: Floats, agree: Tracks) -> bool:
        assert self._window is not None
        last = self._window.newest
        rows = now.find(last.seen.tracks)
        rays, seen = last.seen.rays[rows >= 0], now.rays[rows[rows >= 0]]
        if len(rays) < KEYFRAME_TRACKS * len(rows) or len(agree) < KEYFRAME_LANDMARKS * self._keyframe_landmarks:
            return True
        turned = np.column_stack([rays, np.ones(len(rays))]) @ last.pose[:3, :3].T @ pose[:3, :3]
        moved = np.linalg.norm(turned[:, :2] / turned[:, 2:] - seen, axis=1)
        return bool(self._focal_length * np.median(moved) > KEYFRAME_PARALLAX)

    def _add(self, seen: SeenTracks, pose: Floats, agree: Tracks) -> None:
        """Make a frame the newest keyframe. Raises AdjustmentError."""
        assert self._window is not None
        tracks, points = new_landmarks(self._window, seen, pose, agree)
        some = agree[:: max(1, math.ceil(len(agree) / COUNT))]  # those of the first keyframe are more than needed
        self._window.add(seen, pose, some, tracks, points)
        self._keyframe_landmarks = len(agree) + len(tracks)
        self._covariance = self._window.covariance()

    # Poses.

    def _lost(self, now: SeenTracks) -> Estimate:
        """The last motion goes on."""
        assert self._window is not None
        guess, count = self._guess(now.stamp), int(np.count_nonzero(now.find(self._window.tracks) >= 0))
        if np.count_nonzero(now.disparities > 0) >= FEWEST:
            self._begin(now, guess)
        elif now.stamp - self._stamp > LONGEST_LOSS:
            self._forget()
        problem = f"only {count} landmarks are seen" if count < FEWEST else f"no pose fits {count} landmarks"
        return self._estimate(now.stamp, guess, count, 0, problem)

    def _measured(self, stamp: int, pose: Floats, points: int, inliers: int) -> Estimate:
        estimate = self._estimate(stamp, pose, points, inliers)
        if self.started:
            self._motion, self._seconds = estimate.motion, estimate.seconds
        self._stamp, self._pose = stamp, pose
        return estimate

    def _estimate(self, stamp: int, pose: Floats, points: int, inliers: int, problem: str = "") -> Estimate:
        seconds = (stamp - self._stamp) / 1e9 if self.started else 0.0
        motion = motion_between(self._pose, pose) if self.started else np.eye(4)
        return Estimate(stamp, pose, motion, seconds, points, inliers, problem, self._covariance)

    def _guess(self, stamp: int) -> Floats:
        """The pose of a frame if the last measured motion goes on at the same speed."""
        seconds = min((stamp - self._stamp) / 1e9, LONGEST_GAP) if self.started else 0.0
        share = seconds / self._seconds if self._seconds > 0 else 0.0
        motion = np.eye(4)
        turn = Rotation.from_matrix(self._motion[:3, :3]).as_rotvec()
        motion[:3, :3] = Rotation.from_rotvec(share * turn).as_matrix()
        motion[:3, 3] = share * self._motion[:3, 3]
        return np.asarray(self._pose @ np.linalg.inv(motion))
