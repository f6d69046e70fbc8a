"""Interleaved timing, in which candidates take turns and see the same machine, and limits on threads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

Quartiles = dict[str, float]  # "p25", "median", "p75", in milliseconds


def interleaved(candidates: Mapping[str, Callable[[], object]], repeats: int, description: str) -> dict[str, Quartiles]:
    """Milliseconds of each candidate, in turn with the others; the first round warms up and is not timed."""
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


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit numpy's BLAS, OpenCV and, if it is loaded, torch to a number of threads.

    Enter before the first `silk_ros.match`, which takes its number of threads from BLAS and keeps it.
    """
    libraries: list[tuple[Callable[[], int], Callable[[int], None]]] = [(cv2.getNumThreads, cv2.setNumThreads)]
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        libraries.append((torch.get_num_threads, torch.set_num_threads))
    before = [get() for get, _ in libraries]
    try:
        for _, set_threads in libraries:
            set_threads(threads)
        with threadpool_limits(threads):
            yield
    finally:
        for (_, set_threads), count in zip(libraries, before):
            set_threads(count)
