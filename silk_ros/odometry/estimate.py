"""The pose of one frame, as the odometry estimates it."""

from __future__ import annotations

from dataclasses import dataclass

from .observations import Floats

MODES = ("auto", "mono", "stereo")  # of the odometry; auto is mono until stereo matches come
START_MATCHES = 50  # of its first frame with its last that a start of one camera needs
START_PARALLAX = 15.0  # pixels by which the translation has to move the median one of these


@dataclass(frozen=True, eq=False)
class Estimate:
    """The pose of one frame.

    stamp:   of the frame, nanoseconds.
    pose:    (4, 4) camera to odometry frame, which are the same at the first frame (x right, y down, z forward).
    motion:  (4, 4) moves points of the camera's frame `seconds` before into the camera's frame now.
    points:  number of tracks with a known depth; inliers: number of them that fit the motion.
    problem: reason why the motion was guessed instead of measured; empty if it was measured.
    covariance: (6, 6) of the last keyframe in its own axes, rotation (radians) before position; None if unknown.
    """

    stamp: int
    pose: Floats
    motion: Floats
    seconds: float
    points: int
    inliers: int
    problem: str = ""
    covariance: Floats | None = None
