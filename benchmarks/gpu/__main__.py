"""TensorRT beside ONNX Runtime and PyTorch on a CUDA GPU: from an image in host memory to matches in host memory.

    python -m benchmarks.gpu                      # everything: 640x480 and 1280x720; K = 1000, 2000, 5000
    python -m benchmarks.gpu --quick              # the first size and K, few rounds: a look, not a measurement
    python -m benchmarks.gpu --sizes 640x480 --keypoints 1000 --output runs/gpu

The pipelines take turns frame by frame, each with upload, download and one wait. Pipelines that do not run are skipped
with the reason. Engines are built anew. gpu_DEVICE.json, .md and .png are written to the output folder after each size
and K, so an interrupted run keeps its results. Without a CUDA device nothing is written.
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tqdm import tqdm

from silk_ros.commands.arguments import image_size
from silk_ros.evaluation.report.report import slug
from silk_ros.evaluation.run_info import describe_run
from silk_ros.extractor import Extractor

from ..common import parser, verdict, verdict_line
from .pipelines import EAGER, TENSORRT, Loaded, candidates, frames, load, reason, release
from .report import Row, describe_device, draw, markdown, setting_tables
from .tensorrt_stages import Engines, TensorRtRunner, Workload

SIZES, KEYPOINTS, REPEATS = ((640, 480), (1280, 720)), (1000, 2000, 5000), 200
QUICK_REPEATS = 20

TARGET, TARGET_DEVICE, TARGET_SETTING = f"{TENSORRT} fp16", "H100", Workload(640, 480, 1000)
MAX_LATENCY = 0.5  # milliseconds, median
MIN_RATIO = 5.0  # to torch eager


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    command_line = parser(__doc__)
    add = command_line.add_argument
    add("--output", type=Path, default=Path("runs/gpu"), metavar="FOLDER", help="folder for the results (%(default)s)")
    add("--sizes", nargs="+", type=image_size, default=SIZES, metavar="WxH", help="image sizes in pixels")
    add("--keypoints", nargs="+", type=int, default=KEYPOINTS, metavar="K", help="keypoints of an image, at most")
    add("--repeats", type=int, default=REPEATS, metavar="N", help="timed rounds (%(default)s)")
    add("--quick", action="store_true", help="the first size and K only, few rounds")
    options = command_line.parse_args(arguments)
    if options.repeats < 1 or min(options.keypoints) < 1:
        command_line.error("--repeats and --keypoints must be at least 1")
    if options.quick:
        options.sizes, options.keypoints = options.sizes[:1], options.keypoints[:1]
        options.repeats = min(options.repeats, QUICK_REPEATS)
    return options


def measure(loaded: Mapping[str, Loaded], setting: Workload, repeats: int, skipped: list[Row]) -> list[Row]:
    """Time all pipelines in turn on the same frames, then each back to back, then stages; failures go to `skipped`.

    A row of the result has the quantiles and the mean of a frame's `ms`, and the `images_per_second` back to back.
    """
    images = frames(setting)
    times: dict[str, list[float]] = {name: [] for name in loaded}
    for repeat in tqdm(range(repeats + 1), desc=str(setting)):
        for name, (runner, _) in loaded.items():
            start = time.perf_counter()
            runner.run(images[repeat % len(images)])
            times[name].append(1e3 * (time.perf_counter() - start))
    measured: list[Row] = []
    for name, (runner, gpu_megabytes) in loaded.items():
        own = times[name][1:]  # the first round warms up
        values = (*np.percentile(own, [25, 50, 75, 99]), np.mean(own))
        ms = {key: round(float(value), 3) for key, value in zip(("p25", "median", "p75", "p99", "mean"), values)}
        row: Row = {"pipeline": name, "setting": asdict(setting), "ms": ms}
        found, matches = runner.counts()
        start = time.perf_counter()
        for repeat in range(repeats):
            runner.run(images[repeat % len(images)])
        row["images_per_second"] = round(repeats / (time.perf_counter() - start), 1)
        row |= {"found": found, "matches": matches, "gpu_megabytes": gpu_megabytes, "stages": None}
        if isinstance(runner, TensorRtRunner):
            try:
                row["stages"] = runner.measure_stages(images, repeats)
            except RuntimeError as error:
                skipped.append({"what": f"stages of {name}", "setting": f"{setting}", "reason": reason(error)})
        measured.append(row)
    return measured


def check_targets(measured: Sequence[Row], device: str) -> list[Row]:
    """The verdicts on the targets."""
    p50 = {row["pipeline"]: row["ms"]["median"] for row in measured if row["setting"] == asdict(TARGET_SETTING)}
    own = p50.get(TARGET)
    latency = own if TARGET_DEVICE in device else None
    what = f"p50 of {TARGET} on an {TARGET_DEVICE}, ms ({TARGET_SETTING})"
    checked = [verdict(what, latency, MAX_LATENCY, at_least=False)]
    for name in (f"{EAGER} fp32", f"{EAGER} fp16"):
        ratio = p50[name] / own if own and name in p50 else None
        checked.append(verdict(f"{name} / {TARGET} ({TARGET_SETTING})", ratio, MIN_RATIO, at_least=True))
    return checked


def run(options: argparse.Namespace, command: str) -> int:
    """Measure, write and print; returns the exit status, which is 0 without a GPU."""
    device, engines = describe_device(), Engines()
    wanted = candidates(engines)
    description = vars(describe_run(command, {"SiLK": Extractor.load(max_keypoints=1).backend}))
    results: dict[str, Any] = {
        **{name: description[name] for name in ("silk_ros", "created", "command", "machine", "versions", "models")},
        "device": device,
        "repeats": options.repeats,
    }
    measured: list[Row] = []
    skipped: list[Row] = []
    for (width, height), keypoints in product(options.sizes, options.keypoints):
        setting = Workload(width, height, keypoints)
        loaded, refused = load(wanted, setting)
        for name, why in refused.items():
            if not any(before["what"] == name and before["reason"] == why for before in skipped):
                print(f"skipped {name}: {why}", flush=True)
            skipped.append({"what": name, "setting": f"{setting}", "reason": why})
        if not loaded and device is None:
            print("no CUDA device here: nothing is measured, and nothing written")
            return 0
        try:
            rows = measure(loaded, setting, options.repeats, skipped)
        except Exception as error:  # of any kind: the other settings are measured nevertheless
            rows = []
            skipped.append({"what": "all that runs", "setting": f"{setting}", "reason": reason(error)})
            print(f"skipped {setting}: {reason(error)}")
        measured += rows
        del loaded
        release()
        results |= {
            "targets": check_targets(measured, device["name"] if device else ""),
            "pipelines": measured,
            "engines": engines.facts,
            "skipped": skipped,
        }
        if rows:
            print(f"\n{setting_tables(rows)}\n", flush=True)
        path = write(results, options.output)
    print("\n".join(map(verdict_line, results["targets"])))
    print(f"wrote {', '.join(str(file) for file in sorted(path.parent.glob(f'{path.stem}.*')))}")
    return 0 if measured else 1


def write(results: Mapping[str, Any], folder: Path) -> Path:
    """Write the JSON, whose path is returned, the Markdown, and a chart unless there is nothing to draw."""
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
    # Networks are compiled in a cache of their own, so that all are built here and now.
    with tempfile.TemporaryDirectory() as cache, mock.patch.dict(os.environ, XDG_CACHE_HOME=cache):
        return run(options, shlex.join(["benchmarks.gpu", *arguments]))


if __name__ == "__main__":
    sys.exit(main())
