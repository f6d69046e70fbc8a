"""Interleaved timing: what is compared takes turns, so that all of it sees the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from tqdm import tqdm

Quartiles = dict[str, float]  # "p25", "median", "p75", in milliseconds


def interleaved(candidates: Mapping[str, Callable[[], object]], repeats: int, description: str) -> dict[str, Quartiles]:
    """Milliseconds of each candidate, run in turn so that all see the same machine; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in tqdm(range(repeats + 1), desc=description):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if repeat:
                times[name].append(1e3 * (time.perf_counter() - start))
    quartiles = {name: np.percentile(values, [25, 50, 75]) for name, values in times.items()}
    return {
        name: dict(zip(("p25", "median", "p75"), map(float, values.round(3)))) for name, values in quartiles.items()
    }
