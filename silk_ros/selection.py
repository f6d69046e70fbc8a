"""Selection of keypoints by score that spreads them: none beside a better one, and so many in a cell of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .types import Features

POOL = 4  # candidates for each keypoint that is wanted, as the rules drop some


@dataclass(frozen=True)
class Selection:
    """Rules of selecting keypoints; zeros keep all. Lengths are in pixels of the image given to the extractor.

    nms_radius:   keep a keypoint only if it is the best one in the square that reaches this far from it.
    cell_size:    side of the square cells of a grid over the image, of which each keeps its `max_per_cell` best.

    Raises ValueError for negative numbers, and for a cell size without a number or the other way round.
    """

    nms_radius: float = 0.0
    cell_size: float = 0.0
    max_per_cell: int = 0

    def __post_init__(self) -> None:
        if not (self.nms_radius >= 0 and self.cell_size >= 0 and self.max_per_cell >= 0):
            raise ValueError("nms_radius, cell_size and max_per_cell must not be negative or NaN; 0 switches them off")
        if bool(self.cell_size) != bool(self.max_per_cell):
            raise ValueError("cell_size and max_per_cell belong together: set both, or neither")

    def __bool__(self) -> bool:
        return bool(self.nms_radius or self.max_per_cell)

    def candidates(self, count: int) -> int:
        """The number of keypoints to extract where `count` are wanted."""
        return POOL * count if self else count

    def apply(self, features: Features, count: int) -> Features:
        """At most `count` features that the rules keep, best first."""
        rows = np.arange(len(features))
        if self.nms_radius:
            rows = rows[local_best(features.keypoints, self.nms_radius)]
        if self.max_per_cell:
            rows = rows[best_of_cells(features.keypoints[rows], self.cell_size, self.max_per_cell)]
        rows = rows[:count]
        return features.rows(rows)


def local_best(keypoints: NDArray[np.float32], radius: float) -> NDArray[np.bool_]:
    """Which keypoints (N, 2), best first, have no better one within `radius` in x and y, to the pixel."""
    if not len(keypoints):
        return np.zeros(0, bool)
    x, y = np.round(keypoints - keypoints.min(axis=0)).astype(np.intp).T
    ranks = np.full((y.max() + 1, x.max() + 1), np.float32(len(keypoints)))
    own = np.arange(len(keypoints), dtype=np.float32)
    np.minimum.at(ranks, (y, x), own)
    side = 2 * int(radius) + 1
    best = cv2.erode(ranks, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(best[y, x] == own)


def best_of_cells(keypoints: NDArray[np.float32], size: float, count: int) -> NDArray[np.bool_]:
    """Which keypoints (N, 2), best first, are among the first `count` of their cell."""
    column, row = np.floor((keypoints + 0.5) / size).astype(np.int64).T
    cell = row * (column.max(initial=0) + 2) + column  # + 2: a keypoint may lie in column -1
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.intp)
    place = np.arange(len(ordered)) - np.repeat(starts, np.diff([*starts, len(ordered)]))
    kept = np.zeros(len(keypoints), bool)
    kept[order] = place < count
    return kept
