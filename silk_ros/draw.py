"""Pictures of features and matches."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .images.sampling import spaced_to_ends
from .types import Features, Matches

KEYPOINT_COLOUR = (110, 110, 110)
HUES = 36  # colours of directions around the colour circle; the lines of one colour are drawn together
_COLOURS = cv2.cvtColor(np.array([[(180 * hue / HUES, 220, 255) for hue in range(HUES)]], np.uint8), cv2.COLOR_HSV2BGR)[
    0
]
MAX_LINES = 200  # between two images; more lines would hide them
CORRECT_COLOUR, WRONG_COLOUR = (80, 200, 60), (50, 50, 230)
_SUBPIXEL_BITS = 3


def draw_matches(
    image: NDArray[np.uint8], features: Features, previous: Features | None, matches: Matches, caption: str = ""
) -> NDArray[np.uint8]:
    """Overlay (H, W, 3) uint8 BGR: unmatched keypoints as grey dots, matches as lines from their previous positions.

    `matches.indices` pairs rows of `features` with rows of `previous`. The colour of a line is its direction, so that
    matches which disagree with their neighbours stand out.
    """
    overlay = _darker(image)
    _draw_dots(overlay, features.keypoints, 1, KEYPOINT_COLOUR)
    if previous is not None and len(matches):
        now = features.keypoints[matches.indices[:, 0]]
        before = previous.keypoints[matches.indices[:, 1]]
        turn = np.arctan2(*(now - before).T[::-1]) / (2 * np.pi) % 1
        hue = np.asarray(turn * HUES, np.intp) % HUES
        ends = _fixed_point(before, now)
        for index in np.unique(hue):
            colour = _COLOURS[index].tolist()
            cv2.polylines(overlay, list(ends[hue == index]), False, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        _draw_dots(overlay, now, 2, _COLOURS[hue])
    if caption:
        (width, height), baseline = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        cv2.rectangle(overlay, (0, 0), (width + 12, height + baseline + 8), (0, 0, 0), -1)
        cv2.putText(overlay, caption, (6, height + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return overlay


def draw_pair(
    image0: NDArray[np.uint8],
    image1: NDArray[np.uint8],
    points0: NDArray[np.floating],
    points1: NDArray[np.floating],
    correct: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Two grey images (H, W) side by side as one (H, W0 + W1, 3) uint8 BGR, joined by their matches.

    points0, points1 (M, 2) are pixels x y, each in its own image. Matches that are `correct` (M,) are green, the others
    red. At most MAX_LINES are drawn, evenly picked, so that the share of wrong ones is kept.
    """
    height, offset = max(len(image0), len(image1)), image0.shape[1]
    canvas = np.zeros((height, offset + image1.shape[1], 3), np.uint8)
    canvas[: len(image0), :offset] = _darker(image0)
    canvas[: len(image1), offset:] = _darker(image1)
    order = np.argsort(correct, kind="stable")  # wrong matches first, so that correct ones are drawn on top
    order = order[spaced_to_ends(0, len(order), MAX_LINES)]
    starts, ends = (np.asarray(points, np.float64).reshape(-1, 2)[order] for points in (points0, points1))
    lines = _fixed_point(starts, ends + np.array([offset, 0]))
    for (start, end), good in zip(lines.tolist(), np.asarray(correct)[order].tolist()):
        colour = CORRECT_COLOUR if good else WRONG_COLOUR
        cv2.line(canvas, start, end, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        for point in (start, end):
            cv2.circle(canvas, point, 2 << _SUBPIXEL_BITS, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return canvas


def _darker(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey image (H, W) as darker BGR (H, W, 3), on which lines are easier to see."""
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(image, alpha=0.8), cv2.COLOR_GRAY2BGR), np.uint8)


def _fixed_point(starts: NDArray[np.floating], ends: NDArray[np.floating]) -> NDArray[np.int32]:
    """Lines (N, 2, 2) between pixels (N, 2), in OpenCV's fixed-point coordinates."""
    return np.rint(np.stack([starts, ends], axis=1) * 2**_SUBPIXEL_BITS).astype(np.int32)


def _draw_dots(
    overlay: NDArray[np.uint8], points: NDArray[np.float32], radius: int, colours: NDArray[np.uint8] | tuple[int, ...]
) -> None:
    """Draw discs at pixels (N, 2), in one colour or in colours (N, 3)."""
    height, width = overlay.shape[:2]
    side = np.arange(-radius, radius + 1)
    offsets = np.stack(np.meshgrid(side, side)).reshape(2, -1)
    offsets = offsets[:, np.hypot(*offsets) <= radius]
    x, y = (np.rint(points).astype(np.intp).T[:, :, None] + offsets[:, None]).reshape(2, -1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    spread = np.repeat(np.broadcast_to(np.asarray(colours, np.uint8), (len(points), 3)), offsets.shape[1], axis=0)
    overlay[y[inside], x[inside]] = spread[inside]
