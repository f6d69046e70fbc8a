"""How far the odometry of the demo is from the true poses, in a number and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry.trajectory import end_drift, path_length

SIZE = 720  # pixels of the picture's side
MARGIN = 70
TRUE_COLOUR, ESTIMATE_COLOUR, TEXT_COLOUR = (60, 160, 60), (210, 90, 30), (40, 40, 40)  # BGR

Poses = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """An estimated trajectory (N, 4, 4), brought to the first pose of the true one, and that.

    metric: whether the estimate has its own scale; else it has been brought to the true one's.
    """

    estimate: Poses
    truth: Poses
    metric: bool

    @property
    def drift(self) -> float:
        """Distance between the ends in % of the path."""
        return end_drift(self.estimate, self.truth)

    @property
    def length(self) -> float:
        """Metres of the true path."""
        return path_length(self.truth)


def compare(estimate: dict[int, Poses], truth: dict[int, Poses], metric: bool) -> Comparison | None:
    """Poses (4, 4) by stamp, the estimated ones in a frame of their own. None without enough of both.

    The first poses are made the same. An estimate that is not metric gets the scale of least squares. What comes after
    the source has started again is left out.
    """
    stamps = sorted(estimate.keys() & truth.keys())
    stamps = [stamp for stamp in stamps if stamp < _starts_again(truth)]
    if len(stamps) < 3:
        return None
    estimated, true = (np.array([poses[stamp] for stamp in stamps]) for poses in (estimate, truth))
    relative, true_relative = (np.linalg.inv(poses[0]) @ poses for poses in (estimated, true))
    moved, truly = relative[:, :3, 3], true_relative[:, :3, 3]
    if not moved.any() or not truly.any():
        return None
    if not metric:
        relative[:, :3, 3] *= max((moved * truly).sum(), 0.0) / (moved * moved).sum()
    return Comparison(true[0] @ relative, true, metric)


def _starts_again(truth: dict[int, Poses]) -> float:
    """The stamp at which the true poses are back at exactly the first one; infinite if they never are."""
    if not truth:
        return float("inf")
    first, away = truth[min(truth)], False
    for stamp in sorted(truth):
        home = np.array_equal(truth[stamp], first)
        if home and away:
            return stamp
        away = away or not home
    return float("inf")


def draw_trajectories(comparison: Comparison, path: Path) -> None:
    """Write a picture of both trajectories in the plane that the true one spreads most in."""
    truth, estimate = (poses[:, :3, 3] for poses in (comparison.truth, comparison.estimate))
    axes = np.sort(np.argsort(np.ptp(truth, axis=0))[1:])
    lines = [truth[:, axes], estimate[:, axes]]
    everything = np.concatenate(lines)
    low, high = everything.min(axis=0), everything.max(axis=0)
    pixels_per_metre = (SIZE - 2 * MARGIN) / max(float((high - low).max()), 1e-6)
    centre = (low + high) / 2
    picture = np.full((SIZE, SIZE, 3), 255, np.uint8)
    for line, colour in zip(lines, (TRUE_COLOUR, ESTIMATE_COLOUR)):
        pixels = (line - centre) * [pixels_per_metre, -pixels_per_metre] + SIZE / 2
        shifted = np.rint(pixels * 16).astype(np.int32)  # in sixteenths of a pixel
        cv2.polylines(picture, [shifted.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA, 4)
        start, end = ((int(x), int(y)) for x, y in shifted[[0, -1]])
        cv2.circle(picture, start, 6 * 16, TEXT_COLOUR, 2, cv2.LINE_AA, 4)
        cv2.circle(picture, end, 6 * 16, colour, -1, cv2.LINE_AA, 4)
    _legend(picture, comparison)
    _scale_bar(picture, pixels_per_metre)
    cv2.imwrite(str(path), picture)


def _legend(picture: NDArray[np.uint8], comparison: Comparison) -> None:
    aligned = "" if comparison.metric else ", scale aligned"
    entries = [
        ("true path", TRUE_COLOUR),
        (f"odometry{aligned}: ends {comparison.drift:.1f} % of {comparison.length:.1f} m away", ESTIMATE_COLOUR),
    ]
    for row, (text, colour) in enumerate(entries):
        y = 24 + 24 * row
        cv2.line(picture, (16, y - 5), (46, y - 5), colour, 2, cv2.LINE_AA)
        _write(picture, text, (56, y))
    _write(picture, "circle: start, dot: end", (56, 24 + 24 * len(entries)))


def _scale_bar(picture: NDArray[np.uint8], pixels_per_metre: float) -> None:
    """Of a round length, about a fifth of the width."""
    longest = SIZE / 5 / pixels_per_metre
    unit = 10.0 ** np.floor(np.log10(longest))
    length = max(step * unit for step in (1, 2, 5) if step * unit <= longest)
    left, right, y = 16, 16 + round(length * pixels_per_metre), SIZE - 24
    cv2.line(picture, (left, y), (right, y), TEXT_COLOUR, 2)
    for x in (left, right):
        cv2.line(picture, (x, y - 5), (x, y + 5), TEXT_COLOUR, 2)
    _write(picture, f"{length:g} m", (right + 12, y + 5))


def _write(picture: NDArray[np.uint8], text: str, position: tuple[int, int]) -> None:
    cv2.putText(picture, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.5, TEXT_COLOUR, 1, cv2.LINE_AA)
