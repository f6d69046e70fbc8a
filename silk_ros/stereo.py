"""Matches between the two images of a stereo pair, and the points that they see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry.stereo_geometry import MIN_DISPARITY, StereoGeometry
from .matcher import check_descriptors, check_filters
from .mutual_best import mutual_best_within
from .tracker import others
from .types import Features

BLOCK_ROWS = 128  # keypoints of the left image that are matched at a time
# Pixels. Keypoints lie on the grid of the image that the network saw, so many differ by exactly the allowed amount.
ROUNDING = 1e-3
GRID_SIGMA = 0.41  # of the difference of two positions that are rounded to whole pixels: the square root of a sixth

Rays = NDArray[np.float32]


@dataclass(frozen=True)
class StereoRules:
    """Rules for keypoints of the left and the right image that can show the same point.

    row_tolerance:  largest distance of their rows in the rectified images, in pixels.
    min_disparity:  smallest disparity in pixels; the smaller it is, the less certain is the distance.
    max_disparity:  largest disparity in pixels; 0 for the whole width of the image.
    min_similarity: least cosine of a match, in [-1, 1]; None for no such filter.

    Raises ValueError, naming the range, for values out of it.
    """

    row_tolerance: float = 2.0
    min_disparity: float = MIN_DISPARITY
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
    """Pairs of keypoints of the left and the right image, in the order of the left ones.

    indices:    (M, 2) int32, rows of the left and the right features; no row appears twice.
    similarity: (M,)   float32, cosine of the two descriptors.
    disparity:  (M,)   float32, pixels between the columns of the two in the rectified images.
    points:     (M, 3) float32, metres in the axes of the left camera; NaN without a calibration or a disparity.
    sigma:      (M,)   float32, standard deviations of the disparities in pixels; None where they are unknown.
    """

    indices: NDArray[np.int32]
    similarity: NDArray[np.float32]
    disparity: NDArray[np.float32]
    points: NDArray[np.float32]
    sigma: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def rows(self, rows: NDArray[np.bool_], indices: NDArray[np.int32]) -> StereoMatches:
        """The matches that a mask (M,) keeps, with other `indices`."""
        sigma = None if self.sigma is None else self.sigma[rows]
        return StereoMatches(indices, self.similarity[rows], self.disparity[rows], self.points[rows], sigma)

    @classmethod
    def empty(cls) -> StereoMatches:
        nothing = np.empty(0, np.float32)
        return cls(np.empty((0, 2), np.int32), nothing, nothing, np.empty((0, 3), np.float32), nothing)


@dataclass(frozen=True, eq=False)
class RightImage:
    """The right image of a stereo pair, grey (H, W) uint8; `geometry` is None for a pair without a calibration."""

    image: NDArray[np.uint8]
    geometry: StereoGeometry | None = None


@dataclass(frozen=True, eq=False)
class StereoPair:
    """The features of the right image, and their matches with a frame of the left camera.

    right:   features of the right image.
    matches: rows of the frame's features and of `right`.
    rays:    (N, 3) float32, undistorted rays of `right` in the axes of the right camera; None without a calibration.
    """

    right: Features
    matches: StereoMatches
    rays: Rays | None

    def published(self, count: int) -> StereoPair:
        """The pair with at most `count` features of the right image: the matched ones first, then the best."""
        rows, matched = self.matches.indices.T
        kept = np.sort(np.concatenate([np.sort(matched), others(len(self.right), matched)])[:count])
        place = np.full(len(self.right), -1, np.int32)
        place[kept] = np.arange(len(kept))
        both = place[matched] >= 0
        matches = self.matches.rows(both, np.stack([rows, place[matched]], axis=1)[both])
        return StereoPair(self.right.rows(kept), matches, None if self.rays is None else self.rays[kept])


def match_stereo(
    left: Features,
    right: Features,
    geometry: StereoGeometry | None = None,
    rules: StereoRules | None = None,
    rays: tuple[Rays, Rays] | None = None,
    pixel: float = 1.0,
) -> StereoMatches:
    """Mutual nearest neighbours among the keypoints of two images that can show the same point.

    Pairs that the rules exclude are not compared at all. A keypoint can thus match the second best that it resembles.

    geometry: None for images that are rectified already. rules: the defaults where None.
    rays:     of the left and the right keypoints, (N, 3) each, where they are known; `geometry` gives them otherwise.
    pixel:    side of a pixel of the network's image, in pixels of the images: keypoints lie on this grid.

    Raises ValueError for descriptors of different lengths.
    """
    check_descriptors(left, right)
    rules = rules or StereoRules()
    if not len(left) or not len(right):
        return StereoMatches.empty()
    one, other = rectified(left.keypoints, right.keypoints, geometry, rays)
    indices, similarity = _match_rows(left, right, one, other, rules)
    if rules.min_similarity is not None:
        passed = similarity >= rules.min_similarity
        indices, similarity = indices[passed], similarity[passed]
    one, other = one[indices[:, 0]], other[indices[:, 1]]
    sigma = np.full(len(indices), GRID_SIGMA * pixel, np.float32)
    return stereo_matches(indices, similarity, one, other, sigma, geometry)


def rectified(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    geometry: StereoGeometry | None,
    rays: tuple[Rays, Rays] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rectified pixels (N, 2) and (M, 2) of keypoints of the left and the right image, by their rays where given.

    geometry: None for images that are rectified already.
    """
    if geometry is None:
        return left.astype(np.float64), right.astype(np.float64)
    left_rays, right_rays = rays or (geometry.left.rays(left), geometry.right.rays(right))
    return geometry.rectify_left(left_rays), geometry.rectify_right(right_rays)


def stereo_matches(
    indices: NDArray[np.int32],
    similarity: NDArray[np.float32],
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    sigma: NDArray[np.float32],
    geometry: StereoGeometry | None,
) -> StereoMatches:
    """The matches with their disparities and points, from their rectified pixels `one` and `other`, (M, 2) each."""
    disparity = one[:, 0] - other[:, 0]
    points = np.full((len(one), 3), np.nan, np.float32)
    if geometry is not None:
        points = geometry.points(one, disparity)
    return StereoMatches(indices, similarity, disparity.astype(np.float32), points, sigma)


def _match_rows(
    left: Features, right: Features, one: NDArray[np.float64], other: NDArray[np.float64], rules: StereoRules
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Mutual nearest neighbours, and their cosines, among keypoints whose rectified pixels fit the rules."""
    (x, y), (x_right, y_right) = one.T.astype(np.float32), other.T.astype(np.float32)
    order, order_right = np.argsort(y, kind="stable"), np.argsort(y_right, kind="stable")
    bounds = [*range(0, len(order), BLOCK_ROWS), len(order)]
    rows_right = y_right[order_right]
    tolerance = np.float32(rules.row_tolerance + ROUNDING)
    least, most = rules.min_disparity - ROUNDING, (rules.max_disparity or np.inf) + ROUNDING

    def gate(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        # The rows are sorted, so the first and the last one bound them; NaN comes last.
        first, last = np.searchsorted(rows_right, [y[rows[0]] - tolerance, y[rows[-1]] + tolerance])
        columns = order_right[first:last]
        disparity = x[rows, None] - x_right[columns]
        in_row = np.abs(y[rows, None] - y_right[columns]) <= tolerance
        allowed = in_row & (disparity >= least) & (disparity <= most)
        return columns, np.where(allowed, np.float32(np.inf), np.float32(-np.inf))

    indices, similarity, _ = mutual_best_within(left, right, order, bounds, gate)
    return indices, similarity
