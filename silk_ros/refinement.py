"""Sub-pixel positions of matched keypoints, by comparing the image around them with another image (Lucas-Kanade)."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

METHODS = ("none", "subpixel")
# Pixels of the network's image by which a keypoint may move: to a diagonal neighbour, and the error of that.
REACH = 1.5

WINDOW = 11  # side of the compared patches, in pixels
STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)  # iterations, and pixels of the last step
AROUND = 25  # side of the surroundings of a pixel whose mean is taken off, in pixels
# Patches agree if their mean difference is at most this share of their contrast, and of the noise of a sensor.
LARGEST_DIFFERENCE, NOISE = 0.45, 1.0  # share, grey levels
# Where a smaller share of the matches succeeds, the images differ too much for their patches to tell right from wrong.
FEWEST_SUCCEEDED = 0.6
# A change of the exposure is fitted to at least so many points, in some rounds without those that do not agree.
FEWEST_FOR_EXPOSURE, EXPOSURE_ROUNDS = 20, 3
NO_GAIN = 0.02  # change of the contrast up to which it is the error of the fit

MIDDLE = 128.0  # grey level of a difference of 0

Image = NDArray[np.uint8]
Points = NDArray[np.float32]


class Patches:
    """An image (H, W) uint8 as its patches are compared; what that needs is computed once, when it is first needed."""

    def __init__(self, image: Image) -> None:
        self.image = image

    @cached_property
    def means(self) -> Image:
        """The mean of the surroundings of each pixel."""
        return np.asarray(cv2.blur(self.image, (AROUND, AROUND)), np.uint8)

    @cached_property
    def _local(self) -> Image:
        return self._difference(1.0)

    def local(self, gain: float) -> Image:
        """Differences from the mean around, times a gain: the light of a part of the image does not change them."""
        return self._local if gain == 1 else self._difference(gain)

    def _difference(self, gain: float) -> Image:
        return np.asarray(cv2.addWeighted(self.image, gain, self.means, -gain, MIDDLE), np.uint8)

    @cached_property
    def contrast(self) -> Image:
        """The mean deviation from the mean around, over the patch of each pixel."""
        return np.asarray(cv2.blur(cv2.absdiff(self._local, np.array(MIDDLE)), (WINDOW, WINDOW)), np.uint8)


class Refined(NamedTuple):
    """Refined positions.

    points:     (N, 2) float32, x y; those that were given where the refinement did not succeed.
    succeeded:  (N,) whether the patches agree at a position within reach.
    difference: (N,) float32, mean difference of the patches as a share of their contrast and noise.
    """

    points: Points
    succeeded: NDArray[np.bool_]
    difference: NDArray[np.float32]


def refine(before: Patches, now: Patches, points_before: Points, points: Points, reach: float) -> Refined:
    """Positions in an image that show what another image shows at `points_before`.

    before, now:   the other image and the image, of one size. A change of the exposure between them is compensated.
    points_before: (N, 2) x y in pixels of `before`.
    points:        (N, 2) the same points in `now`, to be refined.
    reach:         most pixels that a point may move.

    Raises ValueError for images of different sizes.
    """
    height, width = now.image.shape
    if before.image.shape != now.image.shape:
        raise ValueError(f"refinement needs images of one size, not {before.image.shape} and {now.image.shape}")
    points = np.asarray(points, np.float32)
    if not len(points):
        return Refined(points, np.zeros(0, bool), np.zeros(0, np.float32))
    gain = _gain(_at(before.means, points_before), _at(now.means, points))
    found, status, error = cv2.calcOpticalFlowPyrLK(
        before.local(gain),
        now.local(1.0),
        np.ascontiguousarray(points_before, np.float32)[:, None],
        points[:, None].copy(),
        winSize=(WINDOW, WINDOW),
        maxLevel=0,
        criteria=STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    found = found[:, 0]
    contrast = gain * _at(before.contrast, points_before)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = (error[:, 0] / (contrast + NOISE)).astype(np.float32)
        near = np.linalg.norm(found - points, axis=1) <= reach
        inside = ((found >= 0) & (found <= [width - 1, height - 1])).all(axis=1)
        succeeded = (status[:, 0] > 0) & near & inside & (difference <= LARGEST_DIFFERENCE)
    return Refined(np.where(succeeded[:, None], found, points), succeeded, difference)


def _gain(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """The change of the contrast between two images, from their brightness (N,) at the same points; 1 where unknown."""
    if len(before) < FEWEST_FOR_EXPOSURE:
        return 1.0
    gain, agree = 1.0, np.ones(len(before), bool)
    one, other = before.astype(np.float32), after.astype(np.float32)
    for _ in range(EXPOSURE_ROUNDS):
        first, second = one[agree] - one[agree].mean(), other[agree] - other[agree].mean()
        squares = float(first @ first)
        gain = float(first @ second) / squares if squares > len(first) else 1.0
        apart = gain * one - other
        apart = np.abs(apart - apart[agree].mean())
        agree = apart <= max(2.0, 4 * float(np.median(apart)))
    return gain if gain > 0 and abs(gain - 1) > NO_GAIN else 1.0


def _at(values: NDArray[Any], points: Points) -> NDArray[Any]:
    """The values (N,) of an image at the nearest pixels of points (N, 2)."""
    height, width = values.shape
    column, row = np.rint(np.nan_to_num(points).clip(0, [width - 1, height - 1])).astype(np.intp).T
    return values[row, column]


def enough_succeeded(succeeded: NDArray[np.bool_]) -> bool:
    """Whether the refinement succeeded for enough matches (N,) to drop the others."""
    return len(succeeded) > 0 and bool(succeeded.mean() >= FEWEST_SUCCEEDED)
