"""Prediction of the positions of keypoints in the next image from their last motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .types import Features, Matches

LOST = 0.6  # share of the usual number of matches below which the motion is not believed
MAX_EXTRAPOLATION = 5.0  # times the last motion, where frames are missing


class MotionPrediction:
    """Predicts positions of keypoints from their last motion, until far fewer matches than usual are found."""

    def __init__(self) -> None:
        self._motion: NDArray[np.float32] | None = None  # (N, 2) pixels, of the keypoints of the last image
        self._elapsed = 0  # nanoseconds that this motion took
        self._usual_count = 0  # matches that the last search of the whole image found

    def forget(self) -> None:
        """Expect nothing of the next image: it is searched as a whole."""
        self._motion = None

    def expected(self, keypoints: NDArray[np.float32], elapsed: int) -> NDArray[np.float32] | None:
        """Positions (N, 2) in the next image, `elapsed` nanoseconds later; None where nothing is known of the motion.

        keypoints: (N, 2), those of the last update.
        """
        if self._motion is None:
            return None
        # Frames can be missing between the two.
        periods = min(elapsed / self._elapsed, MAX_EXTRAPOLATION) if elapsed and self._elapsed else 1.0
        return keypoints + np.float32(periods) * self._motion

    def update(self, features: Features, previous: Features, matches: Matches, radius: float, elapsed: int) -> None:
        """Learn the motion from the matches of an image with the previous one, `elapsed` nanoseconds before."""
        if self._motion is None:
            self._usual_count = len(matches)
        lost = len(matches) < LOST * self._usual_count
        self._motion = None if lost else last_motion(features, previous, matches, radius)
        self._elapsed = elapsed


def last_motion(features: Features, previous: Features, matches: Matches, radius: float) -> NDArray[np.float32]:
    """Motion (N, 2) of keypoints since the previous image, in pixels.

    A matched keypoint has its own motion if that is within `radius` of the median; all others have the median.
    """
    rows, previous_rows = matches.indices.T
    own = features.keypoints[rows] - previous.keypoints[previous_rows]
    usual = np.median(own, axis=0) if len(own) else np.zeros(2)
    motion = np.tile(usual.astype(np.float32), (len(features), 1))
    near = np.linalg.norm(own - usual, axis=1) <= radius
    motion[rows[near]] = own[near]
    return motion
