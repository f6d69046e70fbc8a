"""Mutual-nearest-neighbour matching (paper, Sec. 3.3 and App. B.3)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .mutual_best import BLOCK_ROWS, Block, Floats, all_cosines, cosine_blocks, mutual_best, mutual_best_within
from .types import Features, Matches

# Least side, in radii, of the image tiles that are matched at a time within a radius, and keypoints that fill a tile.
TILE, TILE_ROWS = 2.0, 100
ROUNDING = np.float32(1e-5)  # of squared distances, in squared radii: keypoints on a grid are often just a radius apart
HUGE = np.float32(1e20)
TEMPERATURE = 0.05  # of the matching probability, as in training (paper, Sec. 3.3)


def match(
    a: Features,
    b: Features,
    ratio: float | None = None,
    min_similarity: float | None = None,
    double_softmax: float | None = None,
    radius: float | None = None,
    expected: Floats | None = None,
) -> Matches:
    """Mutual nearest neighbours between the descriptors of two images, in the order of `a`. A filter of None is off.

    ratio:          in [0, 1]; keep a match if its cosine distance (1 - cosine) is at most this share of the distance
                    from the same descriptor of `a` to the second best of `b` (within the radius). Lower is stricter, 1
                    keeps all.
    min_similarity: in [-1, 1]; keep a match if its cosine is at least this.
    double_softmax: in [0, 1]; match by the probability p of a round trip (softmax over the row times softmax over
                    the column of cosine / 0.05), and keep a match if 1 - p is at most this. Lower is stricter, 1 keeps
                    all. It excludes `ratio` and `radius`.
    radius:         in pixels, above 0; a keypoint of `a` is only compared with those of `b` expected this close to it.
    expected:       (len(b), 2) x y in the image of `a` where those of `b` are expected; None for where they were.

    Raises ValueError for descriptors of different lengths, a filter out of range, or filters that exclude each other.
    """
    check_filters(ratio, min_similarity, double_softmax, radius)
    if expected is not None and radius is None:
        raise ValueError("expected positions need a radius around them")
    check_descriptors(a, b)
    if not len(a) or not len(b):
        return Matches.empty()
    if double_softmax is not None:
        return _match_probability(a.descriptors, b.descriptors, double_softmax, min_similarity)

    want_second = ratio is not None
    if radius is None:
        parts = all_cosines(a.descriptors, b.descriptors)
        pairs, similarity, second = mutual_best(parts, len(a), len(b), want_second)
    else:
        pairs, similarity, second = _match_window(
            a, b, b.keypoints if expected is None else expected, radius, want_second
        )
    passed = np.ones(len(pairs), bool)
    if ratio is not None:
        # Two equal candidates are ambiguous, whatever their distance.
        passed &= (1 - similarity <= ratio * (1 - second)) & ((second < similarity) | (ratio == 1))
    if min_similarity is not None:
        passed &= similarity >= min_similarity
    return Matches(indices=pairs[passed], similarity=similarity[passed])


def check_descriptors(a: Features, b: Features) -> None:
    """Raise ValueError, naming the fix, when the descriptors of two images cannot be compared."""
    if a.descriptors.shape[1] != b.descriptors.shape[1] and len(a) and len(b):
        raise ValueError(
            f"descriptors have {a.descriptors.shape[1]} and {b.descriptors.shape[1]} dimensions: "
            "extract both images with the same model"
        )


def check_filters(
    ratio: float | None, min_similarity: float | None, double_softmax: float | None, radius: float | None = None
) -> None:
    """Raise ValueError, naming the range, when the filters of `match` are not usable."""
    for name, value, low in (
        ("ratio", ratio, 0.0),
        ("min_similarity", min_similarity, -1.0),
        ("double_softmax", double_softmax, 0.0),
    ):
        if value is not None and not low <= value <= 1:
            raise ValueError(f"{name} must be between {low} and 1, not {value}")
    if ratio is not None and double_softmax is not None:
        raise ValueError("ratio and double_softmax are alternatives: set one of them")
    if radius is not None and not radius > 0:
        raise ValueError(f"radius must be above 0, not {radius}: it is in pixels")
    if radius is not None and double_softmax is not None:
        raise ValueError("radius and double_softmax are alternatives: set one of them")


def _match_window(
    a: Features, b: Features, expected: Floats, radius: float, want_second: bool
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Mutual nearest neighbours among keypoints that are close enough, searched in tiles of the image."""
    expected = np.asarray(expected, np.float32)
    if expected.shape != b.keypoints.shape:
        raise ValueError(
            f"expected must have shape {b.keypoints.shape}, a position for each of b, not {expected.shape}"
        )
    tile = np.floor(a.keypoints / max(TILE * radius, np.sqrt(TILE_ROWS * np.ptp(a.keypoints, axis=0).prod() / len(a))))
    order = np.lexsort((tile[:, 0], tile[:, 1]))
    tile = tile[order]
    starts = np.flatnonzero(np.r_[True, (tile[1:] != tile[:-1]).any(axis=1)])
    bounds = np.union1d([*starts, len(order)], np.arange(0, len(order), BLOCK_ROWS)).tolist()
    by_y = np.argsort(expected[:, 1], kind="stable")
    sorted_y = expected[by_y, 1]

    def near(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
        inside = a.keypoints[rows]
        low, high = inside.min(axis=0) - radius, inside.max(axis=0) + radius
        first, last = np.searchsorted(sorted_y, [low[1], np.nextafter(high[1], np.inf, dtype=np.float32)])
        band = by_y[first:last]
        columns = band[(expected[band, 0] >= low[0]) & (expected[band, 0] <= high[0])]
        middle = (low + high) / 2
        return columns, _nearness((inside - middle) / radius, (expected[columns] - middle) / radius)

    return mutual_best_within(a, b, order, bounds, near, want_second)


def _nearness(one: Floats, other: Floats) -> Floats:
    """Values (N, M), huge where points (N, 2) and (M, 2) are at most 1 apart, and hugely negative elsewhere.

    1 - |p - q|^2 is a product of matrices, which takes a fraction of the time of comparing the coordinates.
    """
    ones = np.ones((len(one), 1), np.float32), np.ones((len(other), 1), np.float32)
    square, square_other = (np.square(points).sum(axis=1, keepdims=True) for points in (one, other))
    left = np.concatenate([2 * one, ones[0], 1 + ROUNDING - square], axis=1) * HUGE
    return np.asarray(left @ np.concatenate([other, -square_other, ones[1]], axis=1).T)


def _match_probability(a: Floats, b: Floats, threshold: float, min_similarity: float | None) -> Matches:
    """Mutual best by the double-softmax probability, in two passes; the first computes the partition sums."""
    row_sum = np.empty(len(a), np.float32)
    column_sum = np.zeros(len(b), np.float32)
    for rows, _, block in cosine_blocks(a, b, 0, len(a)):
        block -= 1  # a cosine is at most 1: no exponent overflows
        block *= np.float32(1 / TEMPERATURE)
        np.exp(block, out=block)
        row_sum[rows] = block.sum(axis=1)
        column_sum += block.sum(axis=0)

    def log_probability_blocks() -> Iterator[Block]:
        row_bias, column_bias = np.log(row_sum), np.log(column_sum)
        for rows, columns, block in cosine_blocks(a, b, 0, len(a)):
            block -= 1
            block *= np.float32(2 / TEMPERATURE)
            block -= row_bias[rows, None]
            block -= column_bias
            yield rows, columns, block

    pairs, log_probability, _ = mutual_best([log_probability_blocks()], len(a), len(b), want_second=False)
    similarity = np.einsum("nd,nd->n", a[pairs[:, 0]], b[pairs[:, 1]])
    passed = 1 - np.exp(log_probability) <= threshold
    if min_similarity is not None:
        passed &= similarity >= min_similarity
    return Matches(indices=pairs[passed], similarity=similarity[passed])
