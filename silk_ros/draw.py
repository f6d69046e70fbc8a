"""Pictures of features and matches."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .images.sampling import spaced_to_ends
from .types import Features, Matches

KEYPOINT_COLOUR = (110, 110, 110)
HUES = 36  # colours of directions around the colour circle; the lines of one colour are drawn together
STILL = 0.5  # pixels of motion below which its direction says nothing
_CIRCLE = cv2.cvtColor(np.array([[(180 * hue / HUES, 220, 255) for hue in range(HUES)]], np.uint8), cv2.COLOR_HSV2BGR)
_COLOURS = np.vstack([_CIRCLE[0], np.full((1, 3), 255, np.uint8)])  # and white, of what stands still
MAX_LINES = 200  # between two images; more lines would hide them
MANY_MATCHES = 500  # of an overlay; of more, one in each cell of a grid is drawn
CELLS = 40  # of that grid along the longer side of the image
CORRECT_COLOUR, WRONG_COLOUR = (80, 200, 60), (50, 50, 230)
_SUBPIXEL_BITS = 3
_WHITE, _FONT = (255, 255, 255), cv2.FONT_HERSHEY_SIMPLEX
_LEGEND_TEXT, _LEGEND_ROW = 0.4, 15  # size of its letters, and pixels of a row
_WHEEL = 19  # radius of the circle of colours, in pixels


def draw_matches(
    image: NDArray[np.uint8], features: Features, previous: Features | None, matches: Matches, caption: str = ""
) -> NDArray[np.uint8]:
    """Overlay (H, W, 3) uint8 BGR: unmatched keypoints as grey dots, matches as lines from their previous positions.

    `matches.indices` pairs rows of `features` with rows of `previous`. The colour of a line is its direction, so that
    matches which disagree with their neighbours stand out; motions below STILL pixels are white. Of more than
    MANY_MATCHES, the first one in each cell of a grid is drawn: that of the best score, where features are in the order
    of scores. A legend explains the colours and counts the matches shown, in images that are large enough for it.
    Without a previous image, all keypoints are dots and there is no legend.
    """
    overlay = _darker(image)
    unmatched = np.ones(len(features), bool)
    if previous is not None:
        unmatched[matches.indices[:, 0]] = False
    _draw_dots(overlay, features.keypoints[unmatched], 1, KEYPOINT_COLOUR)
    if previous is not None:
        shown = matches.rows(_spread_rows(features.keypoints[matches.indices[:, 0]], max(image.shape) / CELLS))
        now, before = features.keypoints[shown.indices[:, 0]], previous.keypoints[shown.indices[:, 1]]
        hue, ends = _hues(now - before), _fixed_point(before, now)
        for index in np.unique(hue):
            colour = _COLOURS[index].tolist()
            cv2.polylines(overlay, list(ends[hue == index]), False, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        _draw_dots(overlay, now, 2, _COLOURS[hue])
        _draw_legend(overlay, f"{len(shown)} of {len(matches)} matches shown")
    if caption:
        (width, height), baseline = cv2.getTextSize(caption, _FONT, 0.5, 1)
        cv2.rectangle(overlay, (0, 0), (width + 12, height + baseline + 8), (0, 0, 0), -1)
        cv2.putText(overlay, caption, (6, height + 5), _FONT, 0.5, _WHITE, 1, cv2.LINE_AA)
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


def _spread_rows(points: NDArray[np.float32], cell: float) -> NDArray[np.intp]:
    """Rows of points (N, 2) to show: all of a few, else the first one in each square cell of a grid."""
    if len(points) <= MANY_MATCHES:
        return np.arange(len(points))
    return np.sort(np.unique(np.floor(points / cell), axis=0, return_index=True)[1])


def _hues(motions: NDArray[np.floating]) -> NDArray[np.intp]:
    """Indices (N,) into the colours, by the directions of motions (N, 2) in pixels."""
    turn = np.arctan2(motions[:, 1], motions[:, 0]) / (2 * np.pi) % 1
    return np.where(np.hypot(*motions.T) < STILL, HUES, (turn * HUES).astype(np.intp) % HUES)


def _draw_legend(overlay: NDArray[np.uint8], count: str) -> None:
    """Explain lines and dots at the bottom left; images of which it would cover much go without.

    count: how many matches are drawn.
    """
    rows = [
        "line: motion since the previous image,",
        "colour: its direction; white: none",
        f"grey dot: no match; {count}",
    ]
    text_width = max(cv2.getTextSize(row, _FONT, _LEGEND_TEXT, 1)[0][0] for row in rows)
    width, height = 2 * _WHEEL + text_width + 18, len(rows) * _LEGEND_ROW + 6
    bottom, right = overlay.shape[:2]
    if right < 1.5 * width or bottom < 4 * height:
        return
    box = overlay[bottom - height :, :width]
    box[:] = 0
    offsets = np.stack(np.meshgrid(*2 * [np.arange(-_WHEEL, _WHEEL + 1)]), axis=-1).reshape(-1, 2)
    inside = offsets[np.hypot(*offsets.T) <= _WHEEL]
    middle = np.array([_WHEEL + 6, height // 2])
    x, y = (inside + middle).T
    box[y, x] = _COLOURS[_hues(inside)]
    for number, row in enumerate(rows, start=1):
        place = 2 * _WHEEL + 14, number * _LEGEND_ROW - 1
        cv2.putText(box, row, place, _FONT, _LEGEND_TEXT, _WHITE, 1, cv2.LINE_AA)


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
