"""Pictures of features and matches, for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .types import Features, Matches

KEYPOINT_COLOUR = (110, 110, 110)
HUES = 36  # colours of directions: the lines of one colour are drawn at a time
_SUBPIXEL_BITS = 3


def draw_matches(
    image: NDArray[np.uint8], features: Features, previous: Features | None, matches: Matches, caption: str = ""
) -> NDArray[np.uint8]:
    """Overlay (H, W, 3) uint8 BGR: unmatched keypoints as grey dots, matches as lines from where they were.

    `matches.indices` pairs rows of `features` with rows of `previous`. The colour of a line is its direction, so that
    matches which disagree with their neighbours stand out.
    """
    darker = cv2.convertScaleAbs(image, alpha=0.8)  # lines read better on it
    overlay = np.asarray(cv2.cvtColor(darker, cv2.COLOR_GRAY2BGR), np.uint8)
    _draw_dots(overlay, features.keypoints, 1, KEYPOINT_COLOUR)
    if previous is not None and len(matches):
        now = features.keypoints[matches.indices[:, 0]]
        before = previous.keypoints[matches.indices[:, 1]]
        hue = _directions(now - before)
        ends = np.rint(np.stack([before, now], axis=1) * 2**_SUBPIXEL_BITS).astype(np.int32)
        for index in np.unique(hue):
            colour = _COLOURS[index].tolist()
            cv2.polylines(overlay, list(ends[hue == index]), False, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        _draw_dots(overlay, now, 2, _COLOURS[hue])
    if caption:
        (width, height), baseline = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        cv2.rectangle(overlay, (0, 0), (width + 12, height + baseline + 8), (0, 0, 0), -1)
        cv2.putText(overlay, caption, (6, height + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return overlay


def _draw_dots(
    overlay: NDArray[np.uint8], points: NDArray[np.float32], radius: int, colours: NDArray[np.uint8] | tuple[int, ...]
) -> None:
    """Discs at pixels (N, 2), in one colour or in colours (N, 3)."""
    height, width = overlay.shape[:2]
    side = np.arange(-radius, radius + 1)
    offsets = np.stack(np.meshgrid(side, side)).reshape(2, -1)
    offsets = offsets[:, np.hypot(*offsets) <= radius]
    x, y = (np.rint(points).astype(np.intp).T[:, :, None] + offsets[:, None]).reshape(2, -1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    spread = np.repeat(np.broadcast_to(np.asarray(colours, np.uint8), (len(points), 3)), offsets.shape[1], axis=0)
    overlay[y[inside], x[inside]] = spread[inside]


def _directions(motion: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which of the HUES the directions of motion vectors (N, 2) have."""
    turn = np.arctan2(motion[:, 1], motion[:, 0]) / (2 * np.pi) % 1
    return np.asarray(turn * HUES, np.intp) % HUES


def _hues() -> NDArray[np.uint8]:
    """BGR colours (HUES, 3) all around the circle."""
    hue = np.linspace(0, 180, HUES, endpoint=False).astype(np.uint8)
    hsv = np.stack([hue, np.full_like(hue, 220), np.full_like(hue, 255)], axis=1)
    return np.asarray(cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0], np.uint8)


_COLOURS = _hues()
