"""The keypoints at which refined matches go on: those that the network found nearest to their positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .types import Matches

# Pixels of the network's image between a refined position and the keypoint whose row, and so descriptor, it gets.
LIMIT = 1.5
AROUND = 2  # pixels of the network's image in x and y in which keypoints are looked up: the limit and two roundings

Points = NDArray[np.float32]
Rows = NDArray[np.intp]


def handed_over(
    points: Points, grid: Points, pixel: float, ages: NDArray[np.integer], free: Rows | None = None
) -> Rows:
    """The rows (N,) of the keypoints nearest to refined positions, within LIMIT, each once; -1 where none is left.

    A keypoint that is nearest to several positions is that of the oldest track, and of these the nearest; the others
    get the next one within the limit.

    points: (N, 2) float32, x y. grid: (K, 2) float32, where the network found the keypoints.
    pixel:  side of a pixel of the network's image, in pixels of the image.
    ages:   (N,) of the tracks of the points. free: rows of `grid` to choose from; None for all.
    """
    rows = np.full(len(points), -1, np.intp)
    candidates, squared = _near(points, grid, pixel)
    taken = np.zeros(len(grid) + 1, bool)
    if free is not None:
        taken[:-1] = True
        taken[free] = False
    waiting = np.lexsort((squared.min(axis=1, initial=np.inf), -ages.astype(np.int64)))
    while len(waiting):
        left = squared.take(waiting, axis=0)
        left[taken.take(candidates.take(waiting, axis=0))] = np.inf
        best = left.argmin(axis=1)
        some = left[np.arange(len(waiting)), best] <= (LIMIT * pixel) ** 2
        waiting, best = waiting[some], best[some]
        claimed, first = np.unique(candidates[waiting, best], return_index=True)  # the first one has it
        rows[waiting[first]] = claimed
        taken[claimed] = True
        waiting = np.delete(waiting, first)
    return rows


def row_image(grid: Points, pixel: float) -> tuple[Rows, Rows]:
    """The rows of keypoints as an image of the network's grid, with K for none, and their x y (K, 2) in it.

    grid: (K, 2) float32, at least one keypoint. The image has a margin of 2 * AROUND pixels.
    """
    # The sides of the network's image are rounded, by half a pixel at most: each keypoint has a pixel of its own.
    cells = np.rint((grid - grid.min(axis=0)) / pixel).astype(np.intp) + 2 * AROUND
    width, height = cells.max(axis=0) + 2 * AROUND + 1
    image = np.full((height, width), len(grid), np.intp)
    image[cells[:, 1], cells[:, 0]] = np.arange(len(grid))
    return image, cells


def _near(points: Points, grid: Points, pixel: float) -> tuple[Rows, NDArray[np.float32]]:
    """The rows (N, C) of the keypoints around each point, K for none, and their squared distances."""
    if not len(grid):
        return np.zeros((len(points), 1), np.intp), np.full((len(points), 1), np.inf, np.float32)
    image, _ = row_image(grid, pixel)
    height, width = image.shape
    cells = np.rint((points - grid.min(axis=0)) / pixel) + 2 * AROUND
    x, y = cells.clip(AROUND, [width - AROUND - 1, height - AROUND - 1]).astype(np.intp).T
    shift = np.arange(-AROUND, AROUND + 1)
    candidates = image.ravel().take((y * width + x)[:, None] + (shift[:, None] * width + shift).ravel())
    places = np.vstack([grid, np.full((1, 2), np.inf, np.float32)]).T
    dx, dy = (places[axis].take(candidates) - points[:, axis, None] for axis in (0, 1))
    return candidates, dx * dx + dy * dy


def paired(
    pairs: NDArray[np.integer], similarity: NDArray[np.float32], refined: NDArray[np.bool_] | None = None
) -> Matches:
    """The matches of pairs (M, 2) of rows, of which the first is -1 for none, in the order of the first.

    similarity: (M,), which stays that of the rows that were matched. refined: (M,) of `Matches`.
    """
    order = np.argsort(pairs[:, 0])[np.count_nonzero(pairs[:, 0] < 0) :]
    flags = None if refined is None else refined[order]
    return Matches(pairs[order].astype(np.int32), similarity[order], flags)
