"""Everything that `benchmark` measures, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from ..datasets.gray_images import Image
from ..report.tables import text_table
from . import matching
from .estimate import OverallBar, Trial, in_words
from .extraction import PUBLISHED, Pipeline, Timing, measure_extraction, measure_threads
from .timing import Quartiles

EXTRACTION_HEADS = ("size", "K", "pipeline", "ms", "quartiles", "images/s", "GFLOP/s", "of GEMM")
MATCHING_HEADS = ("n", "full matrix ms", "silk_ros.match ms", "times faster")
LARGE, LARGE_REPEATS, SMALL_REPEATS = 5000, (5, 10), 20  # descriptors; fewest and most rounds; fewest rounds


@dataclass(frozen=True)
class Measurements:
    """Times by pipeline, size and number of keypoints; of one pipeline by threads; of matching by size and name.

    threaded: the pipeline of `by_threads`, at the first size and number of keypoints.
    """

    extraction: list[Timing]
    threaded: Pipeline
    by_threads: dict[int, Quartiles]
    matching: dict[int, dict[str, Quartiles]]

    def as_json(self) -> dict[str, Any]:
        first = self.extraction[0]
        return {
            "operations": PUBLISHED,
            "extraction": [asdict(timing) for timing in self.extraction],
            "by_threads": {
                "pipeline": self.threaded.name,
                "size": first.size,
                "keypoints": first.keypoints,
                "ms": self.by_threads,
            },
            "matching_ms": self.matching,
        }

    def tables(self) -> Iterator[str]:
        """The tables for the console, each with its title."""
        first = self.extraction[0]
        rows = [_extraction_row(timing) for timing in self.extraction]
        table = text_table(rows, EXTRACTION_HEADS, colalign=("right", "right", "left"))
        yield f"extraction; GFLOP/s of {PUBLISHED}\n{table}"
        times = [(threads, *_times(ms)) for threads, ms in self.by_threads.items()]
        title = f"{self.threaded.name}, {first.size[0]}x{first.size[1]}, K = {first.keypoints}, by threads"
        yield f"{title}\n{text_table(times, ('threads', 'ms', 'quartiles'))}"
        medians = [
            (size, by_name[matching.FULL]["median"], by_name[matching.MATCH]["median"])
            for size, by_name in self.matching.items()
        ]
        matched = [(size, f"{full:.1f}", f"{own:.1f}", f"{full / own:.1f}") for size, full, own in medians]
        yield f"matching, identical matches\n{text_table(matched, MATCHING_HEADS)}"


def measure(
    pipelines: Sequence[Pipeline],
    peers: Sequence[str],
    images: Sequence[Image],
    keypoints: Sequence[int],
    match_sizes: Sequence[int],
    threads: int,
    repeats: int,
) -> Measurements:
    """Time extraction on grey images (H, W), the fastest pipeline by threads, and matching.

    Prints how long it will take, and shows a progress bar.
    """
    trial = Trial.of(pipelines, peers, images[0], keypoints[0], threads, match_sizes[0])
    # Large matrices take up to half a second: fewer rounds.
    match_rounds = {
        size: min(max(repeats, LARGE_REPEATS[0]), LARGE_REPEATS[1]) if size >= LARGE else max(repeats, SMALL_REPEATS)
        for size in match_sizes
    }
    seconds = trial.seconds(images, keypoints, match_rounds, threads, repeats)
    print(f"about {in_words(sum(seconds))} on this machine, by one run of each", flush=True)
    with closing(OverallBar(seconds)) as bar:
        extraction = [
            timing
            for image in images
            for count in keypoints
            for timing in measure_extraction(pipelines, peers, image, count, threads, repeats, bar.rounds)
        ]
        best = fastest(pipelines, extraction)
        by_threads = measure_threads(best, images[0], keypoints[0], threads, repeats, bar.rounds)
        matched = {size: matching.measure_matching(size, count, bar.rounds) for size, count in match_rounds.items()}
    return Measurements(extraction, best, by_threads, matched)


def fastest(pipelines: Sequence[Pipeline], timings: Sequence[Timing]) -> Pipeline:
    """The pipeline with the lowest median at the first size and number of keypoints."""
    first = {timing.pipeline: timing.ms["median"] for timing in reversed(timings)}
    return min(pipelines, key=lambda pipeline: first[pipeline.name])


def _times(ms: Quartiles) -> tuple[str, str]:
    return f"{ms['median']:.1f}", f"{ms['p25']:.1f}-{ms['p75']:.1f}"


def _extraction_row(timing: Timing) -> tuple[object, ...]:
    rates = (f"{timing.gflops:.0f}", f"{timing.of_gemm:.2f}") if timing.gflops and timing.of_gemm else ("", "")
    size = "{}x{}".format(*timing.size)
    return size, timing.keypoints, timing.pipeline, *_times(timing.ms), f"{1e3 / timing.ms['median']:.1f}", *rates
