"""Block matching against numpy's full similarity matrix, 32-D unit descriptors, identical matches.

python -m benchmarks.matching
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.common import interleaved, save, verdict
from silk_ros import Features, match

SIZES = {2000: 2.0, 10_000: 6.0}  # number of descriptors -> least ratio
DIM = 32


def random_features(count: int, seed: int) -> Features:
    """Descriptors around a shared set, so that about half of them have a true partner."""
    shared = np.random.default_rng(0).normal(size=(count, DIM))
    rng = np.random.default_rng(seed)
    descriptors = shared[rng.permutation(count)] + rng.normal(size=(count, DIM)) * rng.uniform(0.1, 1.5, (count, 1))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(np.zeros((count, 2), np.float32), np.zeros(count, np.float32), descriptors.astype(np.float32))


def full_matrix(a: Features, b: Features) -> np.ndarray:
    """Mutual nearest neighbours (M, 2) the obvious way."""
    similarity = a.descriptors @ b.descriptors.T
    best, best_back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    rows = np.flatnonzero(best_back[best] == np.arange(len(a)))
    return np.stack([rows, best[rows]], axis=1)


def main() -> int:
    results, verdicts = {}, []
    for count, bound in SIZES.items():
        a, b = random_features(count, 1), random_features(count, 2)
        if not np.array_equal(match(a, b).indices, full_matrix(a, b)):
            print(f"the matches differ at n = {count}", file=sys.stderr)
            return 1
        candidates = {"full matrix": lambda a=a, b=b: full_matrix(a, b), "blocks": lambda a=a, b=b: match(a, b)}
        times = interleaved(candidates, repeats=100 if count < 5000 else 15, description=f"n = {count}")
        ratio = times["full matrix"]["median"] / times["blocks"]["median"]
        verdicts.append(verdict(f"full matrix / blocks, n = {count}", ratio, bound, at_least=True))
        results[f"n = {count}, ms"] = times
    save("matching", {**results, "verdicts": verdicts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
