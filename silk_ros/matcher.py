"""Mutual-nearest-neighbour matching (paper, Sec. 3.3 and App. B.3).

The similarity matrix is visited a block of rows at a time, with running column maxima: it is never held whole.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from .types import Features, Matches

BLOCK_ROWS = 256  # rows of similarity held at a time: 2 MB against 2000 descriptors
TILE = 2.0  # side, in radii, of the image tiles that are matched at a time within a radius
TEMPERATURE = 0.05  # of the matching probability, as in training (paper, Sec. 3.3)

Floats = NDArray[np.float32]


def match(
    a: Features,
    b: Features,
    ratio: float | None = None,
    min_similarity: float | None = None,
    double_softmax: float | None = None,
    radius: float | None = None,
    expected: Floats | None = None,
) -> Matches:
    """Mutual nearest neighbours between the descriptors of two images, in the order of `a`. None: no such filter.

    ratio:          in [0, 1]; keep a match if its cosine distance (1 - cosine) is at most this share of the distance
                    from the same descriptor of `a` to the second best of `b` (within the radius). Lower is stricter, 1
                    keeps all.
    min_similarity: in [-1, 1]; keep a match if its cosine is at least this.
    double_softmax: in [0, 1]; match by the probability p of a round trip (softmax over the row times softmax over
                    the column of cosine / 0.05), and keep a match if 1 - p is at most this. Lower is stricter, 1 keeps
                    all. An alternative to `ratio`, and not to be had with `radius`.
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
        parts = _all_cosines(a.descriptors, b.descriptors)
        pairs, similarity, second = _mutual_best(parts, len(a), len(b), want_second)
    else:
        pairs, similarity, second = _match_window(
            a, b, b.keypoints if expected is None else expected, radius, want_second
        )
    passed = np.ones(len(pairs), bool)
    if ratio is not None:
        # Between equal candidates nothing decides, whatever their distance.
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


# Rows and columns of the similarity matrix, and the values there.
Block = tuple[slice, "slice | NDArray[np.intp]", Floats]


def _cosine_blocks(a: Floats, b: Floats, start: int, stop: int) -> Iterator[Block]:
    """Rows start to stop of a @ b.T, some at a time, in one buffer that is reused."""
    buffer = np.empty((min(BLOCK_ROWS, stop - start), len(b)), np.float32)
    for first in range(start, stop, BLOCK_ROWS):
        rows = slice(first, min(first + BLOCK_ROWS, stop))
        yield rows, slice(0, len(b)), np.matmul(a[rows], b.T, out=buffer[: rows.stop - first])


def _all_cosines(a: Floats, b: Floats) -> list[Iterator[Block]]:
    """All of a @ b.T, in as many parts as threads are worth their while."""
    parts = max(1, min(_threads(), len(a) // BLOCK_ROWS))
    bounds = [len(a) * part // parts for part in range(parts + 1)]
    return [_cosine_blocks(a, b, start, stop) for start, stop in itertools.pairwise(bounds)]


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _threads() -> int:
    """As many as the BLAS would take, so that OMP_NUM_THREADS and the like hold here too."""
    return max([1, *(pool["num_threads"] for pool in _blas().info() if pool["user_api"] == "blas")])


@cache
def _thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_threads(), "silk-match")


@cache
def _turn() -> threading.Lock:
    """One caller at a time: the limit on BLAS threads is the whole process's."""
    return threading.Lock()


if hasattr(os, "register_at_fork"):  # threads do not come along, and a lock may come along held
    os.register_at_fork(after_in_child=_thread_pool.cache_clear)
    os.register_at_fork(after_in_child=_turn.cache_clear)


def _mutual_best(
    parts: Sequence[Iterator[Block]], rows_total: int, columns_total: int, want_second: bool
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Pairs (M, 2) that are best for each other, their values, and (if wanted) each row's second best value.

    Each row is in one block at most. The parts are visited at the same time, each in a thread with a BLAS of its own:
    BLAS threads that share every block wait for each other at every block, and for long if another process has a core.
    """
    best = np.zeros(rows_total, np.intp)
    value = np.full(rows_total, -np.inf, np.float32)
    second = np.full(rows_total, -1, np.float32)

    def visit(blocks: Iterator[Block]) -> Floats:
        column_value = np.full(columns_total, -np.inf, np.float32)
        for rows, columns, block in blocks:
            found = block.argmax(axis=1)
            own = np.arange(len(block))
            value[rows] = block[own, found]
            column_value[columns] = np.maximum(column_value[columns], block.max(axis=0))
            best[rows] = found if isinstance(columns, slice) else columns[found]
            if want_second and block.shape[1] > 1:
                block[own, found] = -np.inf
                second[rows] = np.maximum(block.max(axis=1), -1)
        return column_value

    _threads()  # is to be known before the limit
    with _turn(), _blas().limit(limits=1, user_api="blas"):
        visited = map(visit, parts) if len(parts) == 1 else _thread_pool().map(visit, parts)
        column_value = np.maximum.reduce(list(visited))
    row = np.flatnonzero((value >= column_value[best]) & (value > -np.inf))
    # Rows with equal descriptors can claim the same column: the first one has it.
    row = np.sort(row[np.unique(best[row], return_index=True)[1]])
    return np.stack([row, best[row]], axis=1).astype(np.int32), value[row], second[row]


# Of rows of a: the rows of b that some of them may match (M,), and which may match which (N, M).
Gate = Callable[["NDArray[np.intp]"], "tuple[NDArray[np.intp], NDArray[np.bool_]]"]


def mutual_best_within(
    a: Features, b: Features, order: NDArray[np.intp], bounds: Sequence[int], gate: Gate, want_second: bool = False
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Mutual nearest neighbours among the pairs that a gate lets through, in the order of `a`.

    The rows of `a` are visited in an `order` that brings those together that have the same candidates, in blocks from
    each of the `bounds` to the next. Returns pairs (M, 2), their cosines (M,), and (if wanted) each one's second best
    cosine (M,).
    """
    descriptors = a.descriptors[order]

    def blocks() -> Iterator[Block]:
        for start, stop in itertools.pairwise(bounds):
            columns, allowed = gate(order[start:stop])
            if len(columns):
                block = descriptors[start:stop] @ b.descriptors[columns].T
                np.copyto(block, -np.inf, where=~allowed)
                yield slice(start, stop), columns, block

    pairs, similarity, second = _mutual_best([blocks()], len(a), len(b), want_second)
    rows = order[pairs[:, 0]]
    by_row = np.argsort(rows)
    return np.stack([rows, pairs[:, 1]], axis=1).astype(np.int32)[by_row], similarity[by_row], second[by_row]


def _match_window(
    a: Features, b: Features, expected: Floats, radius: float, want_second: bool
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Mutual best among keypoints that are close enough, tile by tile of the image."""
    expected = np.asarray(expected, np.float32)
    if expected.shape != b.keypoints.shape:
        raise ValueError(
            f"expected must have shape {b.keypoints.shape}, a position for each of b, not {expected.shape}"
        )
    tile = np.floor(a.keypoints / (TILE * radius))
    order = np.lexsort((tile[:, 0], tile[:, 1]))
    tile = tile[order]
    starts = np.flatnonzero(np.r_[True, (tile[1:] != tile[:-1]).any(axis=1)])
    bounds = np.union1d([*starts, len(order)], np.arange(0, len(order), BLOCK_ROWS // 2)).tolist()
    by_y = np.argsort(expected[:, 1], kind="stable")
    sorted_y = expected[by_y, 1]

    def near(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        inside = a.keypoints[rows]
        low, high = inside.min(axis=0) - radius, inside.max(axis=0) + radius
        first, last = np.searchsorted(sorted_y, [low[1], np.nextafter(high[1], np.inf, dtype=np.float32)])
        band = by_y[first:last]
        columns = band[(expected[band, 0] >= low[0]) & (expected[band, 0] <= high[0])]
        x, y = expected[columns].T
        return columns, np.square(inside[:, :1] - x) + np.square(inside[:, 1:] - y) <= radius * radius

    return mutual_best_within(a, b, order, bounds, near, want_second)


def _match_probability(a: Floats, b: Floats, threshold: float, min_similarity: float | None) -> Matches:
    """Mutual best by the double-softmax probability; two passes, the first for the two partition sums."""
    row_sum = np.empty(len(a), np.float32)
    column_sum = np.zeros(len(b), np.float32)
    for rows, _, block in _cosine_blocks(a, b, 0, len(a)):
        block -= 1  # a cosine is at most 1: no exponent overflows
        block *= np.float32(1 / TEMPERATURE)
        np.exp(block, out=block)
        row_sum[rows] = block.sum(axis=1)
        column_sum += block.sum(axis=0)

    def log_probability_blocks() -> Iterator[Block]:
        row_bias, column_bias = np.log(row_sum), np.log(column_sum)
        for rows, columns, block in _cosine_blocks(a, b, 0, len(a)):
            block -= 1
            block *= np.float32(2 / TEMPERATURE)
            block -= row_bias[rows, None]
            block -= column_bias
            yield rows, columns, block

    pairs, log_probability, _ = _mutual_best([log_probability_blocks()], len(a), len(b), want_second=False)
    similarity = np.einsum("nd,nd->n", a[pairs[:, 0]], b[pairs[:, 1]])
    passed = 1 - np.exp(log_probability) <= threshold
    if min_similarity is not None:
        passed &= similarity >= min_similarity
    return Matches(indices=pairs[passed], similarity=similarity[passed])
