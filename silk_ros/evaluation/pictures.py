"""Matches drawn between two images side by side, for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_LINES = 200  # more of them hide the images
CORRECT_COLOUR = (80, 200, 60)
WRONG_COLOUR = (50, 50, 230)
_SUBPIXEL_BITS = 3


def draw_pair(
    image0: NDArray[np.uint8],
    image1: NDArray[np.uint8],
    points0: NDArray[np.floating],
    points1: NDArray[np.floating],
    correct: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Two grey images (H, W) side by side as one (H, W0 + W1, 3) uint8 BGR, joined by their matches.

    points0, points1 (M, 2) are pixels x y, each of its own image. Matches that are `correct` (M,) are green, the others
    red. At most MAX_LINES are drawn, evenly picked, so that the share of wrong ones stays what it is.
    """
    height, offset = max(len(image0), len(image1)), image0.shape[1]
    canvas = np.zeros((height, offset + image1.shape[1], 3), np.uint8)
    canvas[: len(image0), :offset] = image0[:, :, None]
    canvas[: len(image1), offset:] = image1[:, :, None]
    canvas = np.asarray(cv2.convertScaleAbs(canvas, alpha=0.8), np.uint8)  # lines read better on a darker picture
    order = np.argsort(correct, kind="stable")  # the wrong ones first: evenly picked, then drawn below the correct ones
    if len(order) > MAX_LINES:
        order = order[np.linspace(0, len(order) - 1, MAX_LINES).round().astype(int)]
    starts = np.asarray(points0, np.float64).reshape(-1, 2)[order]
    ends = np.asarray(points1, np.float64).reshape(-1, 2)[order] + [offset, 0]
    lines = np.rint(np.stack([starts, ends], axis=1) * 2**_SUBPIXEL_BITS).astype(int)
    for (start, end), good in zip(lines.tolist(), np.asarray(correct)[order].tolist()):
        colour = CORRECT_COLOUR if good else WRONG_COLOUR
        cv2.line(canvas, start, end, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        for point in (start, end):
            cv2.circle(canvas, point, 2 << _SUBPIXEL_BITS, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return canvas
