"""How long a benchmark will take on this machine, from one run of everything that it measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from tqdm import tqdm

from ..datasets.gray_images import Image
from ..methods.load import load_method
from . import matching
from .extraction import Pipeline, gemm, thread_counts
from .timing import quietly


class Cost(NamedTuple):
    """Seconds that a candidate takes to be loaded and run for the first time, and to be run again."""

    first: float
    again: float

    def of(self, runs: int, scale: float = 1.0) -> float:
        """Seconds of a number of runs after the first, each `scale` times as long."""
        return self.first + runs * self.again * scale


class Trial(NamedTuple):
    """The costs of pipelines and of all else on one image, and the seconds of one round of the smallest matching."""

    pipelines: Mapping[Pipeline, Cost]
    others: Sequence[Cost]
    matching: float

    @classmethod
    def of(
        cls, pipelines: Sequence[Pipeline], peers: Sequence[str], image: Image, keypoints: int, threads: int, size: int
    ) -> Trial:
        """Run everything once. size: number of descriptors to match."""
        costs = {each: _cost(partial(each.load, keypoints, threads), image) for each in pipelines}
        others = [_cost(partial(_load_peer, peer, keypoints), image) for peer in peers]
        product = gemm()
        others.append(_cost(lambda: lambda _: product(), image))
        passes = 3  # the check, the warm-up and one timed round
        return cls(costs, others, _seconds(partial(matching.measure_matching, size, 1, quietly)) / passes)

    def seconds(
        self,
        images: Sequence[Image],
        keypoints: Sequence[int],
        match_rounds: Mapping[int, int],
        threads: int,
        repeats: int,
    ) -> list[float]:
        """Expected seconds of each measurement, in the order of `measurements.measure`.

        Time of extraction grows with the pixels, that of matching with the square of the number of descriptors.
        """
        rounds, pixels = repeats + 1, images[0].size
        costs = [*self.pipelines.values(), *self.others]
        extraction = [
            sum(cost.of(rounds, image.size / pixels) for cost in costs) for image in images for _ in keypoints
        ]
        fastest = min(self.pipelines.values(), key=lambda cost: cost.again)
        by_threads = sum(fastest.of(rounds, threads / count) for count in thread_counts(threads))
        smallest = min(match_rounds)
        matched = [(count + 2) * self.matching * (size / smallest) ** 2 for size, count in match_rounds.items()]
        return [*extraction, by_threads, *matched]


class OverallBar:
    """One progress bar over several measurements, each of which advances it by its expected seconds."""

    def __init__(self, seconds: Sequence[float]) -> None:
        layout = "{percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left: {desc}"
        self._bar = tqdm(total=sum(seconds), bar_format=layout)
        self._expected = iter(seconds)

    def rounds(self, numbers: Sequence[int], description: str) -> Iterator[int]:
        """The numbers of the rounds of the next measurement."""
        self._bar.set_description_str(description)
        seconds = next(self._expected)
        for number in numbers:
            yield number
            self._bar.update(min(seconds / len(numbers), self._bar.total - self._bar.n))  # not beyond, by rounding

    def close(self) -> None:
        self._bar.close()


def in_words(seconds: float) -> str:
    """A time such as 25 s or 4 min."""
    return f"{max(seconds, 1):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _load_peer(name: str, keypoints: int) -> Callable[[Image], object]:
    return load_method(name, keypoints).extract


def _cost(load: Callable[[], Callable[[Image], object]], image: Image) -> Cost:
    began = time.perf_counter()
    run = load()
    run(image)
    return Cost(time.perf_counter() - began, _seconds(lambda: run(image)))


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
