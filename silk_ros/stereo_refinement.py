"""Refinement of stereo matches: sub-pixel positions in the right image, and so disparities in parts of a pixel."""

from __future__ import annotations

import numpy as np

from .handover import handed_over
from .interpolation import interpolated
from .refinement import Patches, enough_succeeded, refine
from .step import Frame
from .stereo import RightImage, StereoPair, StereoRules, match_stereo, rectified, stereo_matches
from .types import Features

# Rows of refined matches differ from the median difference by at most this share of the row tolerance, or its default.
ROWS = 0.4
# Standard deviation of a disparity, in pixels, and its growth with the difference of the patches (docs/performance.md).
SIGMA, SIGMA_PER_DIFFERENCE = 0.05, 1.5


def match_right(
    frame: Frame, image: RightImage, right: Features, rules: StereoRules, pixel: float, reach: float | None
) -> StereoPair:
    """Matches of a frame with the features `right` of its right image, refined where `reach` is given.

    pixel: side of a pixel of the network's image, in pixels of the images.
    reach: most pixels from the start of the refinement; None to refine nothing.
    """
    geometry, rays = image.geometry, None
    right_rays = None if geometry is None else geometry.right.rays(right.keypoints)
    # The rows of both images are compared where the network found the keypoints.
    if geometry is not None and right_rays is not None and frame.rays is not None:
        rays = (frame.rays if frame.detected is None else geometry.left.rays(frame.found.keypoints)), right_rays
    pair = StereoPair(right, match_stereo(frame.found, right, geometry, rules, rays, pixel), right_rays)
    if reach is None or frame.image.shape != image.image.shape:
        return pair
    return _refined(frame, image, pair, rules, pixel, reach)


def _refined(
    frame: Frame, image: RightImage, pair: StereoPair, rules: StereoRules, pixel: float, reach: float
) -> StereoPair:
    """The pair with refined keypoints of the right image, and the matches whose refinement succeeded.

    Where too few did (see `enough_succeeded`), the pair is as it was. Rows of refined matches differ by the error of
    the calibration only, which is the same for all.
    """
    geometry, matches, right = image.geometry, pair.matches, pair.right
    rows, rows_right = matches.indices.T
    points = frame.features.keypoints[rows]
    found = refine(
        frame.patches, Patches(image.image), points, right.keypoints[rows_right] + frame.offsets[rows], reach
    )
    if not enough_succeeded(found.succeeded):
        return pair
    rays, moved_rays = pair.rays, None
    if geometry is not None and rays is not None and frame.rays is not None:
        moved_rays = frame.rays[rows], geometry.right.rays(found.points)
    one, other = rectified(points, found.points, geometry, moved_rays)
    disparity, apart = (one - other).T
    kept = found.succeeded & (disparity >= rules.min_disparity) & (disparity <= (rules.max_disparity or np.inf))
    if kept.any():
        kept &= np.abs(apart - np.median(apart[kept])) <= ROWS * max(rules.row_tolerance, StereoRules.row_tolerance)
    now = np.full(len(rows), -1)
    now[kept] = handed_over(found.points[kept], right.keypoints, pixel, frame.tracks.ages[rows[kept]])
    kept = now >= 0
    rows, now = rows[kept], now[kept]
    if rays is not None and moved_rays is not None:
        rays = rays.copy()
        rays[now] = moved_rays[1][kept]
    sigma = SIGMA + SIGMA_PER_DIFFERENCE * found.difference[kept]
    pairs, similarity = np.stack([rows, now], axis=1), matches.similarity[kept]
    matches = stereo_matches(pairs, similarity, one[kept], other[kept], sigma.astype(np.float32), geometry)
    moved = interpolated(right.moved(now, found.points[kept]), right.keypoints, pixel)
    return StereoPair(moved, matches, rays)
