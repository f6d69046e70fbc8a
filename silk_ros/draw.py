"""Pictures of features and matches, for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .types import Features, Matches

KEYPOINT_COLOUR = (110, 110, 110)
_SUBPIXEL_BITS = 3


def draw_matches(
    image: NDArray[np.uint8], features: Features, previous: Features | None, matches: Matches, caption: str = ""
) -> NDArray[np.uint8]:
    """Overlay (H, W, 3) uint8 BGR: unmatched keypoints as grey dots, matches as lines from where they were.

    `matches.indices` pairs rows of `features` with rows of `previous`. The colour of a line is its direction, so that
    matches which disagree with their neighbours stand out.
    """
    overlay = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    overlay = cv2.convertScaleAbs(overlay, alpha=0.8)  # lines read better on a darker picture
    for x, y in np.rint(features.keypoints).astype(int):
        cv2.circle(overlay, (int(x), int(y)), 1, KEYPOINT_COLOUR, -1)
    if previous is not None and len(matches):
        now = features.keypoints[matches.indices[:, 0]]
        before = previous.keypoints[matches.indices[:, 1]]
        colours = _direction_colours(now - before)
        ends = np.rint(np.stack([before, now], axis=1) * 2**_SUBPIXEL_BITS).astype(int)
        for (start, end), colour in zip(ends.tolist(), colours.tolist()):
            cv2.line(overlay, start, end, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
            cv2.circle(overlay, end, 2 << _SUBPIXEL_BITS, colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    if caption:
        (width, height), baseline = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        cv2.rectangle(overlay, (0, 0), (width + 12, height + baseline + 8), (0, 0, 0), -1)
        cv2.putText(overlay, caption, (6, height + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(overlay, np.uint8)


def _direction_colours(motion: NDArray[np.float32]) -> NDArray[np.uint8]:
    """BGR colours (N, 3) of motion vectors (N, 2): the hue is the direction."""
    hue = (np.arctan2(motion[:, 1], motion[:, 0]) / (2 * np.pi) % 1 * 179).astype(np.uint8)
    hsv = np.stack([hue, np.full_like(hue, 220), np.full_like(hue, 255)], axis=1)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0]
