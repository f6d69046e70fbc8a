"""Sub-pixel positions of matched keypoints, by comparing the image around them with another image (Lucas-Kanade)."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

METHODS = ("none", "subpixel")
REACH = 1.0  # pixels of the network's image by which a keypoint may move

WINDOW = 11  # side of the compared patches, in pixels
STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)  # iterations, and pixels of the last step
AROUND = 15  # side of the surroundings whose mean the contrast of a patch refers to, in pixels
# Patches agree if their mean difference is at most this share of their contrast, and of the noise of a sensor.
LARGEST_DIFFERENCE, NOISE = 0.5, 1.0  # share, grey levels
FEWEST_FOR_EXPOSURE = 20  # points from which a change of the exposure is estimated

Image = NDArray[np.uint8]
Points = NDArray[np.float32]


class Refined(NamedTuple):
    """Refined positions.

    points:     (N, 2) float32, x y; those that were given where the refinement did not succeed.
    succeeded:  (N,) whether the patches agree at a position within reach.
    difference: (N,) float32, mean difference of the patches as a share of their contrast and noise.
    """

    points: Points
    succeeded: NDArray[np.bool_]
    difference: NDArray[np.float32]


def refine(image_before: Image, image: Image, points_before: Points, points: Points, reach: float) -> Refined:
    """Positions in an image that show what another image shows at `points_before`.

    image_before, image: (H, W) uint8 of one size. A change of the exposure between them is compensated.
    points_before:       (N, 2) x y in pixels of `image_before`.
    points:              (N, 2) the same points in `image`, to be refined.
    reach:               most pixels that a point may move.

    Raises ValueError for images of different sizes.
    """
    if image_before.shape != image.shape:
        raise ValueError(f"refinement needs images of one size, not {image_before.shape} and {image.shape}")
    points = np.asarray(points, np.float32)
    if not len(points):
        return Refined(points, np.zeros(0, bool), np.zeros(0, np.float32))
    image_before = _same_exposure(image_before, image, points_before, points)
    found, status, error = cv2.calcOpticalFlowPyrLK(
        image_before,
        image,
        np.ascontiguousarray(points_before, np.float32)[:, None],
        points[:, None].copy(),
        winSize=(WINDOW, WINDOW),
        maxLevel=0,
        criteria=STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    found = found[:, 0]
    deviation = cv2.absdiff(image_before, cv2.blur(image_before, (AROUND, AROUND)))
    contrast = _at(cv2.blur(deviation, (WINDOW, WINDOW)), points_before)
    difference = (error[:, 0] / (contrast + NOISE)).astype(np.float32)
    height, width = image.shape
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.linalg.norm(found - points, axis=1) <= reach
        inside = ((found >= 0) & (found <= [width - 1, height - 1])).all(axis=1)
        succeeded = (status[:, 0] > 0) & near & inside & (difference <= LARGEST_DIFFERENCE)
    return Refined(np.where(succeeded[:, None], found, points), succeeded, difference)


def _same_exposure(image_before: Image, image: Image, points_before: Points, points: Points) -> Image:
    """The first image with the brightness and contrast of the second one, estimated at matched points."""
    if len(points) < FEWEST_FOR_EXPOSURE:
        return image_before
    seen = ((image_before, points_before), (image, points))
    before, after = (_at(cv2.blur(each, (5, 5)), where).astype(np.float64) for each, where in seen)
    middle_before, middle = np.median(before), np.median(after)
    spread_before, spread = np.median(np.abs(before - middle_before)), np.median(np.abs(after - middle))
    gain = spread / spread_before if spread_before and spread else 1.0
    return np.asarray(cv2.addWeighted(image_before, gain, image_before, 0, middle - gain * middle_before), np.uint8)


def _at(values: NDArray[Any], points: Points) -> NDArray[Any]:
    """The values (N,) of an image at the nearest pixels of points (N, 2)."""
    height, width = values.shape
    column, row = np.rint(np.nan_to_num(points).clip(0, [width - 1, height - 1])).astype(np.intp).T
    return values[row, column]
