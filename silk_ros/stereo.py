"""Matches between the two images of a stereo pair, and the points that they see. No ROS needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .geometry.camera import Camera, is_projection
from .matcher import check_descriptors, check_filters, mutual_best_within
from .types import Features

BLOCK_ROWS = 128  # keypoints of the left image that are matched at a time
ROUNDING = 1e-3  # pixels; keypoints lie on the grid that the network saw, so many are just as far off as is allowed
SAME = 1e-3  # relative difference of what a calibration of both cameras makes the same

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


@dataclass(frozen=True)
class StereoRules:
    """Which keypoints of the left and the right image can show the same point.

    row_tolerance:  pixels between their rows in the rectified images, at most.
    min_disparity:  pixels, at least; the less it is, the less is known of the distance.
    max_disparity:  pixels, at most; 0 for the whole width of the image.
    min_similarity: least cosine of a match, in [-1, 1]; None for no such filter.

    Raises ValueError, naming the range, for others.
    """

    row_tolerance: float = 2.0
    min_disparity: float = 1.0
    max_disparity: float = 0.0
    min_similarity: float | None = None

    def __post_init__(self) -> None:
        check_filters(None, self.min_similarity, None)
        if not self.row_tolerance >= 0:
            raise ValueError(f"row_tolerance must be 0 or more, not {self.row_tolerance}: it is in pixels")
        if not self.min_disparity >= 0:
            raise ValueError(f"min_disparity must be 0 or more, not {self.min_disparity}: it is in pixels")
        if self.max_disparity != 0 and not self.max_disparity > self.min_disparity:
            raise ValueError(
                f"max_disparity must be 0 (the image's width) or above min_disparity, not {self.max_disparity}"
            )


@dataclass(frozen=True, eq=False)
class StereoMatches:
    """Pairs of keypoints of the left and the right image, in the order of the left one's.

    indices:    (M, 2) int32, rows of the left and the right features; no row appears twice.
    similarity: (M,)   float32, cosine of the two descriptors.
    disparity:  (M,)   float32, pixels between the two in the rectified images.
    points:     (M, 3) float32, metres in the left camera's axes; not-a-number without calibration or disparity.
    """

    indices: NDArray[np.int32]
    similarity: NDArray[np.float32]
    disparity: NDArray[np.float32]
    points: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def empty(cls) -> StereoMatches:
        return cls(
            np.empty((0, 2), np.int32), np.empty(0, np.float32), np.empty(0, np.float32), np.empty((0, 3), np.float32)
        )


def match_stereo(
    left: Features, right: Features, geometry: StereoGeometry | None = None, rules: StereoRules | None = None
) -> StereoMatches:
    """Mutual nearest neighbours among the keypoints of two images that can show the same point.

    What the rules exclude is not compared at all, so that a keypoint can match the second best one that it looks like.

    geometry: None for images that are rectified already. rules: the default ones.

    Raises ValueError for descriptors of different lengths.
    """
    check_descriptors(left, right)
    rules = rules or StereoRules()
    if not len(left) or not len(right):
        return StereoMatches.empty()
    if geometry is None:
        one, other = left.keypoints.astype(np.float64), right.keypoints.astype(np.float64)
    else:
        one, other = geometry.rectify_left(left.keypoints), geometry.rectify_right(right.keypoints)
    (x, y), (x_right, y_right) = one.T.astype(np.float32), other.T.astype(np.float32)
    order, order_right = np.argsort(y, kind="stable"), np.argsort(y_right, kind="stable")
    bounds = [*range(0, len(order), BLOCK_ROWS), len(order)]
    rows_right = y_right[order_right]
    tolerance = np.float32(rules.row_tolerance + ROUNDING)
    least, most = rules.min_disparity - ROUNDING, (rules.max_disparity or np.inf) + ROUNDING

    def gate(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        # In their order, the first and the last one bound the rows of the image; not-a-number comes last.
        first, last = np.searchsorted(rows_right, [y[rows[0]] - tolerance, y[rows[-1]] + tolerance])
        columns = order_right[first:last]
        disparity = x[rows, None] - x_right[columns]
        in_row = np.abs(y[rows, None] - y_right[columns]) <= tolerance
        return columns, in_row & (disparity >= least) & (disparity <= most)

    indices, similarity, _ = mutual_best_within(left, right, order, bounds, gate)
    if rules.min_similarity is not None:
        passed = similarity >= rules.min_similarity
        indices, similarity = indices[passed], similarity[passed]
    seen = one[indices[:, 0]]
    disparity = seen[:, 0] - other[indices[:, 1], 0]
    points = np.full((len(indices), 3), np.nan, np.float32)
    if geometry is not None:
        points = geometry.points(seen, disparity)
    return StereoMatches(indices, similarity, disparity.astype(np.float32), points)
