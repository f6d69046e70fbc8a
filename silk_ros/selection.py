"""Rules of selecting keypoints, in pixels of the image given to the extractor."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .backends.rules import MAX_PER_CELL, SelectionRules

ROUNDING = 1e-6  # of products of a length and a scale


@dataclass(frozen=True)
class Selection:
    """Rules of selecting keypoints from the whole score map; zeros keep all. Lengths are in pixels of the given image.

    border:       pixels along each side of the image, or of the region of interest, that are kept free.
    nms_radius:   of the keypoints that are at most this far apart in x and y, only one is kept, as a rule the best.
    cell_size:    side of the square cells of a grid over the image, rounded to pixels of the network.
    max_per_cell: the number of keypoints of each cell that are preferred: first the best one of every cell, then the
                  others by score. The rest is filled up by score.

    Raises ValueError for numbers out of range, and for a cell size without a number or the other way round.
    """

    nms_radius: float = 0.0
    cell_size: float = 0.0
    max_per_cell: int = 0
    border: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 <= length < math.inf for length in (self.border, self.nms_radius, self.cell_size)):
            raise ValueError("border, nms_radius and cell_size must be finite and not negative; 0 switches them off")
        if not 0 <= self.max_per_cell <= MAX_PER_CELL:
            raise ValueError(f"max_per_cell must be from 0 (no cells) to {MAX_PER_CELL}, not {self.max_per_cell}")
        if bool(self.cell_size) != bool(self.max_per_cell):
            raise ValueError("cell_size and max_per_cell belong together: set both, or neither")

    def rules(self, scale: float) -> SelectionRules:
        """The same rules in pixels of the network, which sees the image resized by `scale`.

        Raises ValueError, naming the fix, for a scale out of range.
        """
        if not 0 < scale <= 4:
            raise ValueError(
                f"scale must be above 0 and at most 4, not {scale}: 0.5 halves the image before the network"
            )
        border = 0
        if self.border:
            # Pixel areas correspond, not centres. The side of the network's image is rounded, hence up to a quarter of
            # a pixel more: the border is never narrower than asked for.
            slack = 0.25 if scale != 1 else 0.0
            border = math.ceil((self.border + 0.5) * scale - 0.5 + slack - ROUNDING)
        cell_size = max(1, round(self.cell_size * scale)) if self.cell_size else 0
        return SelectionRules(border, int(self.nms_radius * scale + ROUNDING), cell_size, self.max_per_cell)
