"""Matching near the positions that the last motion of the keypoints predicts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .step import Frame
from .types import Features, Matches

# Wrong matches lie anywhere around a prediction: a quarter of them is within half the radius. The motion is believed
# where more than this share of the matches is.
FEWEST_INSIDE = 0.5
MAX_EXTRAPOLATION = 5.0  # times the last motion, where frames are missing

Floats = NDArray[np.float32]
Find = Callable[["Floats | None"], Matches]


def check_radius(share: float) -> None:
    """Raise ValueError, naming the range, for a radius that is no share of the image's width."""
    if not 0 <= share <= 1:
        pixels = f"; {share:g} pixels of an image 640 wide are {share / 640:.3g}" if share > 1 else ""
        raise ValueError(f"matcher.radius is a share of the image's width, 0 (off) to 1, not {share:g}{pixels}")


class MotionPrediction:
    """Predicts positions of keypoints from their last motion, and says whether they were found there."""

    def __init__(self) -> None:
        self._motion: Floats | None = None  # (N, 2) pixels, of the keypoints of the last image
        self._elapsed = 0  # nanoseconds that this motion took

    def forget(self) -> None:
        """Expect nothing of the next image: it is searched as a whole."""
        self._motion = None

    def matches(self, frame: Frame, previous: Frame, radius: float, find: Find) -> Matches:
        """Matches near the predicted positions; of the whole image where the motion is unknown or another one.

        previous: the frame of the last update.
        radius:   pixels from the predicted positions.
        find:     finds matches near the positions (N, 2) where the keypoints of `previous` are expected, or of the
                  whole image where it cannot; of the whole image if they are None.
        """
        if self._motion is not None:
            expected = self._expected(previous.found.keypoints, frame.stamp - previous.stamp)
            found = find(expected)
            rows, before = found.indices.T
            off = np.linalg.norm(frame.found.keypoints[rows] - expected[before], axis=1)
            if np.count_nonzero(off <= radius / 2) > FEWEST_INSIDE * len(found):
                return found.rows(off <= radius)
        return find(None)

    def update(self, frame: Frame, previous: Frame, matches: Matches, radius: float) -> None:
        """Learn the motion from the matches of a frame with the previous one."""
        self._motion = last_motion(frame.features, previous.features, matches, radius)
        self._elapsed = frame.stamp - previous.stamp

    def _expected(self, keypoints: Floats, elapsed: int) -> Floats:
        # Frames can be missing between the two.
        periods = min(elapsed / self._elapsed, MAX_EXTRAPOLATION) if elapsed and self._elapsed else 1.0
        return keypoints + np.float32(periods) * self._motion


def last_motion(features: Features, previous: Features, matches: Matches, radius: float) -> Floats:
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
