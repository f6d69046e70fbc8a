"""Matches verified by the epipolar geometry that most of them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry.camera import Camera
from .geometry.epipolar import essential_inliers, estimated_inliers
from .step import Frame

METHODS = ("none", "fundamental", "essential")
OUTLIERS = ("drop", "flag")

Points = NDArray[np.float32]
Rays = tuple[Points, Points] | None


@dataclass(frozen=True)
class Verification:
    """Settings of the verification of matches by RANSAC (MAGSAC).

    method:    "none" verifies nothing; "fundamental" needs no calibration; "essential" is stricter and needs one, and
               is "fundamental" without it.
    threshold: largest distance from the epipolar line, in pixels.
    outliers:  "drop" removes them, which ends their tracks; "flag" keeps and marks them.

    Raises ValueError, naming the choices, for other values.
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
        """Whether outliers are kept and marked."""
        return bool(self) and self.outliers == "flag"

    def inliers(
        self, points: Points, points_prev: Points, rays: Rays = None, camera: Camera | None = None
    ) -> NDArray[np.bool_]:
        """Which matches (M,) between pixels (M, 2) of an image and of the previous one agree; none of too few.

        rays:   undistorted rays (M, 3) of both, for an essential matrix; None where they are unknown. A match with
                a ray of NaN does not agree.
        camera: the camera of the image, in whose pixels the threshold is.
        """
        if self.method == "essential" and camera is not None and rays is not None:
            return essential_inliers(*rays, camera.matrix, self.threshold)
        return estimated_inliers(points, points_prev, self.threshold)

    def inliers_of(
        self, frame: Frame, before: Frame, pairs: NDArray[np.int32], camera: Camera | None = None
    ) -> NDArray[np.bool_]:
        """Which pairs (M, 2) of rows of a frame and of one before it agree with the geometry that most share."""
        rows, rows_before = pairs.T
        rays = None
        if frame.rays is not None and before.rays is not None:
            rays = frame.rays[rows], before.rays[rows_before]
        points, points_before = frame.features.keypoints[rows], before.features.keypoints[rows_before]
        return self.inliers(points, points_before, rays, camera)
