"""The geometry of a calibrated stereo pair: rectified pixels, disparities and points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .camera import Camera, is_projection

MIN_DISPARITY = 1.0  # pixels; a smaller one says too little of the distance
SAME = 1e-3  # relative difference up to which the projections of the two cameras agree

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StereoGeometry:
    """A calibrated pair of cameras side by side, each with what its camera_info holds.

    The pixels of both are brought to one rectified image: the one that the P of the left camera gives. There, the same
    point has the same row, and is farther to the left in the right image by its disparity.

    Raises ValueError, naming the fix, for two calibrations that are not of such a pair.
    """

    left: Camera
    right: Camera

    def __post_init__(self) -> None:
        for side, camera in ("left", self.left), ("right", self.right):
            rotation, projection = camera.rectification, camera.projection
            if not np.allclose(rotation @ rotation.T, np.eye(3), atol=SAME) or not is_projection(projection[:, :3]):
                raise ValueError(
                    f"{side}/camera_info has an r that is no rotation, or a p whose rows are not fx 0 cx tx, "
                    "0 fy cy 0, 0 0 1 0: calibrate both cameras together"
                )
        names = ("focal length fx", "focal length fy", "row of the principal point")
        for name, place in zip(names, [(0, 0), (1, 1), (1, 2)]):
            one, other = self.left.projection[place], self.right.projection[place]
            if abs(one - other) > SAME * self.left.projection[0, 0]:
                raise ValueError(
                    f"left/camera_info and right/camera_info differ in the {name} of their p ({one:g} and {other:g}): "
                    "calibrate both cameras together, and give them the same binning and rows of the roi"
                )
        if not self.baseline:
            raise ValueError(
                "p[3] of right/camera_info holds no baseline: is right/camera_info the calibration of a pair? "
                "Calibrate both cameras, side by side, together"
            )
        if self.baseline < 0:
            raise ValueError("p[3] of right/camera_info puts that camera on the left: swap left and right")

    @property
    def focal_length(self) -> float:
        """Of the rectified image, in pixels."""
        return float(self.left.projection[0, 0])

    @property
    def baseline(self) -> float:
        """Metres from the left camera to the right one."""
        return float(self.left.projection[0, 3] - self.right.projection[0, 3]) / self.focal_length

    def rectify_left(self, pixels: ArrayLike) -> Floats:
        """Rectified pixels (N, 2) of pixels (N, 2) of the left image; not-a-number for what it does not show."""
        return self._rectify(self.left, pixels)

    def rectify_right(self, pixels: ArrayLike) -> Floats:
        """Rectified pixels (N, 2) of pixels (N, 2) of the right image; not-a-number for what it does not show."""
        return self._rectify(self.right, pixels)

    def _rectify(self, camera: Camera, pixels: ArrayLike) -> Floats:
        points = camera.rays(pixels) @ (self.left.projection[:, :3] @ camera.rectification).T
        points[points[:, 2] <= 0] = np.nan
        return np.asarray(points[:, :2] / points[:, 2:], np.float64)

    def points(self, rectified: ArrayLike, disparity: ArrayLike) -> NDArray[np.float32]:
        """Points (N, 3) in metres in the left camera's own axes, on the rays that `left` gives for its pixels.

        rectified: (N, 2) rectified pixels of the left image. disparity: (N,) pixels; points without are not-a-number.
        """
        disparity = np.asarray(disparity, np.float64)
        depth = self.focal_length * self.baseline / np.where(disparity > 0, disparity, np.nan)
        homogeneous = np.column_stack([rectified, np.ones(len(depth))])
        rays = homogeneous @ np.linalg.inv(self.left.projection[:, :3]).T @ self.left.rectification
        return (depth[:, None] * rays).astype(np.float32)
