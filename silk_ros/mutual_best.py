"""Mutual nearest neighbours in a similarity matrix that is visited in blocks of rows and never held whole."""

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

from .types import Features

BLOCK_ROWS = 256  # rows of similarity held at a time: 2 MB against 2000 descriptors
EXCLUDED = -1e9  # at most: the value of a pair that may not match, below every cosine and logarithm of a probability

Floats = NDArray[np.float32]

# Rows and columns of the similarity matrix, and the values there.
Block = tuple[slice, "slice | NDArray[np.intp]", Floats]


def cosine_blocks(a: Floats, b: Floats, start: int, stop: int) -> Iterator[Block]:
    """Blocks of the rows start to stop of a @ b.T, in one buffer that is reused."""
    buffer = np.empty((min(BLOCK_ROWS, stop - start), len(b)), np.float32)
    for first in range(start, stop, BLOCK_ROWS):
        rows = slice(first, min(first + BLOCK_ROWS, stop))
        yield rows, slice(0, len(b)), np.matmul(a[rows], b.T, out=buffer[: rows.stop - first])


def all_cosines(a: Floats, b: Floats) -> list[Iterator[Block]]:
    """Blocks of a @ b.T in parts that threads can visit at the same time; one part where it is small."""
    parts = _parts(len(a))
    bounds = [len(a) * part // parts for part in range(parts + 1)]
    return [cosine_blocks(a, b, start, stop) for start, stop in itertools.pairwise(bounds)]


def _parts(rows: int) -> int:
    """The number of threads that are worth their start for so many rows."""
    return max(1, min(_threads(), rows // BLOCK_ROWS))


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _threads() -> int:
    """The number of threads that the BLAS uses, so that OMP_NUM_THREADS and the like hold here too."""
    return max([1, *(pool["num_threads"] for pool in _blas().info() if pool["user_api"] == "blas")])


@cache
def _thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_threads(), "silk-match")


@cache
def _turn() -> threading.Lock:
    """The lock that lets in one caller at a time: the limit on BLAS threads is that of the whole process."""
    return threading.Lock()


if hasattr(os, "register_at_fork"):  # a child has no threads of the parent, and may have a lock that is held
    os.register_at_fork(after_in_child=_thread_pool.cache_clear)
    os.register_at_fork(after_in_child=_turn.cache_clear)


def mutual_best(
    parts: Sequence[Iterator[Block]], rows_total: int, columns_total: int, want_second: bool
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Pairs (M, 2) that are best for each other, their values (M,), and (if wanted) the second best value of each row.

    Each row is in one block at most. The parts are visited at the same time, each in a thread with one BLAS thread:
    BLAS threads that share a block wait for each other at every block, and longer where another process has a core.
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

    _threads()  # counted before the limit changes it
    with _turn(), _blas().limit(limits=1, user_api="blas"):
        visited = map(visit, parts) if len(parts) == 1 else _thread_pool().map(visit, parts)
        column_value = np.maximum.reduce(list(visited))
    row = np.flatnonzero((value >= column_value[best]) & (value > EXCLUDED))
    # Rows with equal descriptors can claim the same column: the first one has it.
    row = np.sort(row[np.unique(best[row], return_index=True)[1]])
    return np.stack([row, best[row]], axis=1).astype(np.int32), value[row], second[row]


# For rows of a (N,): the rows of b that some of them may match (M,), and the largest value that a pair may have (N, M):
# at most EXCLUDED where the two may not match, above every cosine where they may.
Gate = Callable[["NDArray[np.intp]"], "tuple[NDArray[np.intp], Floats]"]


def mutual_best_within(
    a: Features, b: Features, order: NDArray[np.intp], bounds: Sequence[int], gate: Gate, want_second: bool = False
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Mutual nearest neighbours among the pairs that a gate lets through, in the order of `a`.

    order:  all rows of `a`, those with the same candidates beside each other.
    bounds: positions in `order` that separate the blocks, the first and the last one included.

    Returns pairs (M, 2), their cosines (M,), and (if wanted) the second best cosine (M,) of each.
    """
    descriptors = a.descriptors[order]
    limits = list(itertools.pairwise(bounds))
    parts = _parts(len(a))

    def blocks(part: int) -> Iterator[Block]:
        for start, stop in limits[part::parts]:
            columns, most = gate(order[start:stop])
            if len(columns):
                block = descriptors[start:stop] @ b.descriptors[columns].T
                yield slice(start, stop), columns, np.minimum(block, most, out=block)

    pairs, similarity, second = mutual_best([blocks(part) for part in range(parts)], len(a), len(b), want_second)
    rows = order[pairs[:, 0]]
    by_row = np.argsort(rows)
    return np.stack([rows, pairs[:, 1]], axis=1).astype(np.int32)[by_row], similarity[by_row], second[by_row]
