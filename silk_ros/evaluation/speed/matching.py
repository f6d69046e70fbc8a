"""Time of `silk_ros.match` and of numpy's full similarity matrix, on 32-D unit descriptors with identical matches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...matcher import match
from ...types import Features
from .timing import Quartiles, Rounds, interleaved, with_bar

SIZES = (1000, 2000, 5000, 10_000)
DIM = 32
FULL, MATCH = "full matrix", "silk_ros.match"


def random_features(count: int, seed: int) -> Features:
    """Features with noisy copies of shared descriptors, about half of which still match between two seeds."""
    shared = np.random.default_rng(0).normal(size=(count, DIM))
    rng = np.random.default_rng(seed)
    descriptors = shared[rng.permutation(count)] + rng.normal(size=(count, DIM)) * rng.uniform(0.1, 1.5, (count, 1))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(np.zeros((count, 2), np.float32), np.zeros(count, np.float32), descriptors.astype(np.float32))


def full_matrix(a: Features, b: Features) -> NDArray[np.intp]:
    """Mutual nearest neighbours (M, 2) from the whole similarity matrix."""
    similarity = a.descriptors @ b.descriptors.T
    best, best_back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    rows = np.flatnonzero(best_back[best] == np.arange(len(a)))
    return np.stack([rows, best[rows]], axis=1)


def measure_matching(count: int, repeats: int, rounds: Rounds = with_bar) -> dict[str, Quartiles]:
    """Times of FULL and MATCH. Raises RuntimeError if their matches differ."""
    a, b = random_features(count, 1), random_features(count, 2)
    if not np.array_equal(match(a, b).indices, full_matrix(a, b)):
        raise RuntimeError(f"silk_ros.match and the full matrix match {count} descriptors differently")
    candidates: dict[str, Callable[[], object]] = {FULL: lambda: full_matrix(a, b), MATCH: lambda: match(a, b)}
    return interleaved(candidates, repeats, f"matching, n = {count}", rounds)
