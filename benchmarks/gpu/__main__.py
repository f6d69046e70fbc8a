"""TensorRT beside ONNX Runtime and PyTorch on a CUDA GPU: from an image in host memory to matches in host memory.

    python -m benchmarks.gpu                      # everything: 640x480 and 1280x720; K = 1000, 2000, 5000
    python -m benchmarks.gpu --quick              # the first size and K, few rounds: a look, not a measurement
    python -m benchmarks.gpu --sizes 640x480 --keypoints 1000 --output runs/gpu

All that runs takes turns frame by frame, each with upload, download and one wait. What does not run is skipped, with
the reason. Engines are built anew, in a cache of their own. The output folder gets gpu_DEVICE.json, .md and .png, after
each size and K: what is stopped keeps what it has. Without a CUDA device nothing is written.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from silk_ros.commands.arguments import image_size
from silk_ros.evaluation.report.report import slug
from silk_ros.evaluation.run_info import describe_run
from silk_ros.paths import default_model

from ..common import interleaved
from .pipelines import EAGER, TENSORRT, Loaded, Runner, candidates, frames, load, reason, release
from .report import describe_device, draw, markdown, setting_tables, target_line
from .tensorrt_stages import Engines, Image, Setting, TensorRtRunner

SIZES, KEYPOINTS, REPEATS = ((640, 480), (1280, 720)), (1000, 2000, 5000), 200
QUICK_REPEATS = 20

TARGET, TARGET_DEVICE, TARGET_SETTING = f"{TENSORRT} fp16", "H100", Setting(640, 480, 1000)
MAX_LATENCY = 0.5  # milliseconds, median
MIN_RATIO = 5.0  # to torch eager


@dataclass(frozen=True)
class Measured:
    """A pipeline at one setting. ms: p25, median, p75, p99, mean of a frame. images_per_second: back to back."""

    pipeline: str
    setting: Setting
    ms: dict[str, float]
    images_per_second: float
    found: int
    matches: int
    gpu_megabytes: float | None
    stages: dict[str, float | str] | None


class Skipped(NamedTuple):
    """What was not measured at a setting, and why."""

    what: str
    setting: str
    reason: str


class Stopwatch:
    """A pipeline that is given frames in turn. Keeps how long each took, in milliseconds."""

    def __init__(self, runner: Runner, images: Sequence[Image]) -> None:
        self._runner, self._images = runner, images
        self.milliseconds: list[float] = []

    def __call__(self) -> None:
        image = self._images[len(self.milliseconds) % len(self._images)]
        start = time.perf_counter()
        self._runner.run(image)
        self.milliseconds.append(1e3 * (time.perf_counter() - start))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", type=Path, default=Path("runs/gpu"), metavar="FOLDER", help="where to write (%(default)s)")
    add("--sizes", nargs="+", type=image_size, default=SIZES, metavar="WxH", help="of the image, in pixels")
    add("--keypoints", nargs="+", type=int, default=KEYPOINTS, metavar="K", help="of an image, at most")
    add("--repeats", type=int, default=REPEATS, metavar="N", help="rounds that are timed (%(default)s)")
    add("--quick", action="store_true", help="the first size and K only, few rounds")
    options = parser.parse_args(arguments)
    if options.repeats < 1 or min(options.keypoints) < 1:
        parser.error("--repeats and --keypoints must be at least 1")
    if options.quick:
        options.sizes, options.keypoints = options.sizes[:1], options.keypoints[:1]
        options.repeats = min(options.repeats, QUICK_REPEATS)
    return options


def measure(loaded: Mapping[str, Loaded], setting: Setting, repeats: int, skipped: list[Skipped]) -> list[Measured]:
    """Time everything in turn on the same frames, then each back to back, then stages; `skipped` gets what fails."""
    images = frames(setting)
    clocks = {name: Stopwatch(one.runner, images) for name, one in loaded.items()}
    quartiles = interleaved(clocks, repeats, str(setting))
    measured = []
    for name, one in loaded.items():
        times = clocks[name].milliseconds[1:]  # as there, the first round warms up
        more = {"p99": float(np.percentile(times, 99).round(3)), "mean": float(np.mean(times).round(3))}
        found, matches = one.runner.counts()
        start = time.perf_counter()
        for repeat in range(repeats):
            one.runner.run(images[repeat % len(images)])
        rate = round(repeats / (time.perf_counter() - start), 1)
        stages = None
        if isinstance(one.runner, TensorRtRunner):
            try:
                stages = one.runner.measure_stages(images, repeats)
            except RuntimeError as error:
                skipped.append(Skipped(f"stages of {name}", f"{setting}", reason(error)))
        ms = quartiles[name] | more
        measured.append(Measured(name, setting, ms, rate, found, matches, one.gpu_megabytes, stages))
    return measured


def check_targets(measured: Sequence[Measured], device: str) -> list[dict[str, Any]]:
    """What was to be reached, and whether it was; `value` and `met` are None where it was not measured."""
    p50 = {row.pipeline: row.ms["median"] for row in measured if row.setting == TARGET_SETTING}
    own = p50.get(TARGET)
    latency = own if TARGET_DEVICE in device else None
    checked = [_target(f"p50 of {TARGET} on an {TARGET_DEVICE}, ms", latency, MAX_LATENCY, at_least=False)]
    for name in (f"{EAGER} fp32", f"{EAGER} fp16"):
        ratio = p50[name] / own if own and name in p50 else None
        checked.append(_target(f"{name} / {TARGET}", ratio, MIN_RATIO, at_least=True))
    return checked


def _target(what: str, value: float | None, bound: float, at_least: bool) -> dict[str, Any]:
    met = None if value is None else value >= bound if at_least else value <= bound
    value = None if value is None else round(value, 3)
    return {"what": f"{what} ({TARGET_SETTING})", "value": value, "bound": bound, "at_least": at_least, "met": met}


@contextmanager
def own_cache() -> Iterator[None]:
    """Compiled networks go to a folder that is gone afterwards, so that all are built here and now."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            yield
        finally:
            del os.environ["XDG_CACHE_HOME"]
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def run(options: argparse.Namespace, command: str) -> int:
    """Measure, write and print; returns the exit status, which is 0 without a GPU."""
    device, engines = describe_device(), Engines()
    wanted = candidates(engines)
    description = vars(describe_run(command, {"SiLK": default_model()}))
    results: dict[str, Any] = {
        **{name: description[name] for name in ("silk_ros", "created", "command", "machine", "versions", "models")},
        "device": device,
        "repeats": options.repeats,
    }
    measured: list[Measured] = []
    skipped: list[Skipped] = []
    for (width, height), keypoints in product(options.sizes, options.keypoints):
        setting = Setting(width, height, keypoints)
        loaded, refused = load(wanted, setting)
        for name, why in refused.items():
            if not any(before.what == name and before.reason == why for before in skipped):
                print(f"skipped {name}: {why}", flush=True)
            skipped.append(Skipped(name, f"{setting}", why))
        if not loaded and device is None:
            print("no CUDA device here: nothing is measured, and nothing written")
            return 0
        try:
            rows = measure(loaded, setting, options.repeats, skipped)
        except Exception as error:  # whatever it is: the other settings are measured all the same
            rows = []
            skipped.append(Skipped("all that runs", f"{setting}", reason(error)))
            print(f"skipped {setting}: {reason(error)}")
        measured += rows
        del loaded
        release()
        results |= {
            "targets": check_targets(measured, device["name"] if device else ""),
            "pipelines": [asdict(row) for row in measured],
            "engines": engines.facts,
            "skipped": [entry._asdict() for entry in skipped],
        }
        if rows:
            print(f"\n{setting_tables(results['pipelines'][-len(rows) :])}\n", flush=True)
        path = write(results, options.output)
    print("\n".join(target_line(target) for target in results["targets"]))
    print(f"wrote {', '.join(str(file) for file in sorted(path.parent.glob(f'{path.stem}.*')))}")
    return 0 if measured else 1


def write(results: Mapping[str, Any], folder: Path) -> Path:
    """The JSON, whose path is returned, the Markdown, and the chart if there is something to draw."""
    folder.mkdir(parents=True, exist_ok=True)
    name = (results["device"] or {}).get("name", "unknown device")
    path = folder / f"gpu_{slug(name)}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    if results["pipelines"]:
        try:
            draw(results["pipelines"], f"Image to matches on {name}", path.with_suffix(".png"))
        except ImportError as error:
            print(f"no chart: {error}; pip install matplotlib")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with own_cache():
        return run(options, shlex.join(["benchmarks.gpu", *arguments]))


if __name__ == "__main__":
    sys.exit(main())
