"""Everything that `benchmark` measures, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..datasets.gray_images import Image
from ..report.tables import text_table
from . import matching
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
        left = ["left" if head == "pipeline" else "right" for head in EXTRACTION_HEADS]
        rows = [_extraction_row(timing) for timing in self.extraction]
        yield f"extraction; GFLOP/s of {PUBLISHED}\n{text_table(rows, EXTRACTION_HEADS, colalign=left)}"
        times = [(f"{threads}", *_times(ms)) for threads, ms in self.by_threads.items()]
        title = f"{self.threaded.name}, {first.size[0]}x{first.size[1]}, K = {first.keypoints}, by threads"
        yield f"{title}\n{text_table(times, ('threads', 'ms', 'quartiles'))}"
        matched = [_matching_row(size, times) for size, times in self.matching.items()]
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
    """Time extraction on grey images (H, W), the fastest pipeline by threads, and matching."""
    extraction: list[Timing] = []
    for image in images:
        for count in keypoints:
            extraction += measure_extraction(pipelines, peers, image, count, threads, repeats)
    best = fastest(pipelines, extraction)
    by_threads = measure_threads(best, images[0], keypoints[0], threads, repeats)
    matched = {size: matching.measure_matching(size, _rounds(size, repeats)) for size in match_sizes}
    return Measurements(extraction, best, by_threads, matched)


def fastest(pipelines: Sequence[Pipeline], timings: Sequence[Timing]) -> Pipeline:
    """The pipeline with the lowest median at the first size and number of keypoints."""
    first = {timing.pipeline: timing.ms["median"] for timing in reversed(timings)}
    return min(pipelines, key=lambda pipeline: first[pipeline.name])


def _rounds(size: int, repeats: int) -> int:
    """Rounds of matching: fewer for large matrices, which take up to half a second."""
    fewest, most = LARGE_REPEATS
    return max(fewest, min(repeats, most)) if size >= LARGE else max(repeats, SMALL_REPEATS)


def _times(ms: Quartiles) -> tuple[str, str]:
    return f"{ms['median']:.1f}", f"{ms['p25']:.1f}-{ms['p75']:.1f}"


def _extraction_row(timing: Timing) -> tuple[str, ...]:
    rates = (f"{timing.gflops:.0f}", f"{timing.of_gemm:.2f}") if timing.gflops and timing.of_gemm else ("", "")
    size = "{}x{}".format(*timing.size)
    return size, f"{timing.keypoints}", timing.pipeline, *_times(timing.ms), f"{1e3 / timing.ms['median']:.1f}", *rates


def _matching_row(size: int, times: Mapping[str, Quartiles]) -> tuple[str, ...]:
    full, own = (times[name]["median"] for name in (matching.FULL, matching.MATCH))
    return f"{size}", f"{full:.1f}", f"{own:.1f}", f"{full / own:.1f}"
