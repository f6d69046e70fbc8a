"""Matches checked by the epipolar geometry that most of them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry.camera import Camera
from .geometry.epipolar import essential_inliers, estimated_inliers

METHODS = ("none", "fundamental", "essential")
OUTLIERS = ("drop", "flag")

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Verification:
    """How matches are verified, by RANSAC (MAGSAC).

    method:    "fundamental" needs no calibration; "essential" is stricter, takes the camera's, and is "fundamental"
               without one; "none" verifies nothing.
    threshold: pixels from the epipolar line.
    outliers:  "drop" them, which ends their tracks, or keep and "flag" them.

    Raises ValueError, naming the choices, for others.
    """

    method: str = "none"
    threshold: float = 1.5
    outliers: str = "drop"

    def __post_init__(self) -> None:
        for name, value, choices in (("method", self.method, METHODS), ("outliers", self.outliers, OUTLIERS)):
            if value not in choices:
                raise ValueError(f"unknown {name} of verification '{value}': choose one of {', '.join(choices)}")
        if not self.threshold > 0:
            raise ValueError(f"threshold of verification must be above 0, not {self.threshold}: it is in pixels")

    def __bool__(self) -> bool:
        return self.method != "none"

    @property
    def flags(self) -> bool:
        """Whether matches tell if they agree."""
        return bool(self) and self.outliers == "flag"

    def inliers(self, points: Points, points_prev: Points, camera: Camera | None) -> NDArray[np.bool_]:
        """Which matches (M,) between pixels (M, 2) of an image and of the one before agree; none of too few."""
        if self.method == "essential" and camera is not None:
            return essential_inliers(points, points_prev, camera, self.threshold)
        return estimated_inliers(points, points_prev, self.threshold)
