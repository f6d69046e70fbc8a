"""Interleaved timing, in which candidates take turns and see the same machine, and limits on threads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import cv2
import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

Quartiles = dict[str, float]  # "p25", "median", "p75", in milliseconds
Name = TypeVar("Name")


Rounds = Callable[[Sequence[int], str], Iterable[int]]  # hands out numbers of rounds, and shows where they are


def with_bar(numbers: Sequence[int], description: str) -> Iterable[int]:
    """The numbers of rounds, with a progress bar of their own."""
    return tqdm(numbers, desc=description)


def quietly(numbers: Sequence[int], description: str) -> Iterable[int]:
    """The numbers of rounds, without a progress bar."""
    return numbers


def interleaved(
    candidates: Mapping[Name, Callable[[], object]], repeats: int, description: str, rounds: Rounds = with_bar
) -> dict[Name, Quartiles]:
    """Milliseconds of each candidate, in turn with the others; the first round warms up and is not timed."""
    times: dict[Name, list[float]] = {name: [] for name in candidates}
    for repeat in rounds(range(repeats + 1), description):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if repeat:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {
        name: dict(zip(("p25", "median", "p75"), np.percentile(values, [25, 50, 75]).round(3).tolist()))
        for name, values in times.items()
    }


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit numpy's BLAS, OpenCV and, if it is loaded, torch to a number of threads.

    Enter before the first `silk_ros.match`, which takes its number of threads from BLAS and keeps it.
    """
    libraries = [(cv2.getNumThreads, cv2.setNumThreads)]
    if torch := sys.modules.get("torch"):
        libraries.append((torch.get_num_threads, torch.set_num_threads))
    with threadpool_limits(threads), ExitStack() as restored:
        for get, set_threads in libraries:
            restored.callback(set_threads, get())
            set_threads(threads)
        yield
