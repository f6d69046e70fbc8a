"""The geometry of a calibrated stereo pair: rectified pixels, disparities and points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .camera import Camera, is_projection
from .homography import project

MIN_DISPARITY = 1.0  # pixels; a smaller one says too little of the distance
SAME = 1e-3  # relative difference up to which the projections of the two cameras agree
LEAST_COSINE = 0.01  # of the angle of a ray to the axis of the rectified camera; wider rays have no usable pixel

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StereoGeometry:
    """A calibrated pair of cameras side by side.

    The rays of both cameras are projected into one rectified image, which the projection matrix of the left camera
    defines. There, a point has the same row in both images, and a smaller column in the right one by its disparity.

    Raises ValueError, naming the fix, for two calibrations that do not belong to such a pair.
    """

    left: Camera
    right: Camera

    def __post_init__(self) -> None:
        for side, camera in ("left", self.left), ("right", self.right):
            rotation, projection = camera.rectification, camera.projection
            turns = np.allclose(rotation @ rotation.T, np.eye(3), atol=SAME) and np.linalg.det(rotation) > 0
            if not turns or not is_projection(projection[:, :3]):
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
        """The focal length of the rectified image in pixels."""
        return float(self.left.projection[0, 0])

    @property
    def baseline(self) -> float:
        """Metres from the left camera to the right one."""
        return float(self.left.projection[0, 3] - self.right.projection[0, 3]) / self.focal_length

    def rectify_left(self, rays: NDArray[np.float32]) -> Floats:
        """Rectified pixels (N, 2) of rays (N, 3) of the left camera; NaN for rays that the rectified image lacks."""
        return self._rectify(self.left, rays)

    def rectify_right(self, rays: NDArray[np.float32]) -> Floats:
        """Rectified pixels (N, 2) of rays (N, 3) of the right camera; NaN for rays that the rectified image lacks."""
        return self._rectify(self.right, rays)

    def _rectify(self, camera: Camera, rays: NDArray[np.float32]) -> Floats:
        points = rays @ camera.rectification.T
        points[points[:, 2] <= LEAST_COSINE * np.linalg.norm(points, axis=1)] = np.nan
        return project(self.left.projection[:, :3], points)

    def points(self, rectified: ArrayLike, disparity: ArrayLike) -> NDArray[np.float32]:
        """Points (N, 3) in metres in the axes of the left camera, on the rays of its pixels.

        rectified: (N, 2) rectified pixels of the left image. disparity: (N,) pixels; a point without one is NaN.
        """
        disparity = np.asarray(disparity, np.float64)
        depth = self.focal_length * self.baseline / np.where(disparity > 0, disparity, np.nan)
        homogeneous = np.column_stack([rectified, np.ones(len(depth))])
        rays = homogeneous @ np.linalg.inv(self.left.projection[:, :3]).T @ self.left.rectification
        return (depth[:, None] * rays).astype(np.float32)
