"""Rules of selecting keypoints, as a backend applies them: in whole pixels of the image that the network sees."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Extracted

MAX_PER_CELL = 3840  # limit of a top-k in TensorRT
# Scores of positions that the rules exclude are below this and above those of no other position: their logits are the
# graph's LOWEST.
LEAST_SCORE = 1e-30


@dataclass(frozen=True)
class SelectionRules:
    """What the graph keeps of the score map, before its top-k; zeros keep all. Lengths are in pixels of the network.

    border:       pixels without keypoints along each side of the image.
    nms_radius:   of the keypoints that are at most this far apart in x and y, one is kept.
    cell_size:    side of the square cells of a grid that begins at the corner of the image.
    max_per_cell: the number of keypoints of each cell that are preferred: first the best one of every cell, then the
                  others. The rest is filled up by score.
    """

    border: int = 0
    nms_radius: int = 0
    cell_size: int = 0
    max_per_cell: int = 0

    def __bool__(self) -> bool:
        return self != SelectionRules()

    def least_side(self, border: int) -> int:
        """The least side of an image, in pixels, for a network that loses `border` pixels on each side."""
        return 2 * max(border, self.border) + 1

    def kept(self, extracted: Extracted) -> Extracted:
        """Views of what a graph with these rules found, without the positions that the rules exclude."""
        if not (self.border or self.nms_radius):
            return extracted
        keypoints, scores, descriptors = extracted
        count = int((scores > LEAST_SCORE).sum())
        return keypoints[:count], scores[:count], descriptors[:count]
