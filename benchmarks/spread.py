"""Effects of spread keypoints on sequences with known poses, and the time that the selection takes.

python -m benchmarks.spread path/to/sequences --disparity-offset 1.18    # a folder of KITTI's or 7-Scenes' layout each
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import interleaved, parser, save
from benchmarks.selection import Row, measure, sequences
from silk_ros import Extractor, Features
from silk_ros.evaluation.datasets.posed import open_sequence
from silk_ros.evaluation.methods.base import DEFAULT_PRECISION, FloatMethod, Keypoints
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.tasks.odometry import evaluate_odometry
from silk_ros.evaluation.tasks.relative_pose import evaluate_relative_pose
from silk_ros.frontend import CAMERA_SCALE
from silk_ros.selection import Selection

COUNTS = (2000, 5000)
RULES = {
    "best scores": Selection(),
    "3 of each 16x16": Selection(cell_size=16, max_per_cell=3),
    "5 of each 32x32": Selection(cell_size=32, max_per_cell=5),
    "10 of each 32x32": Selection(cell_size=32, max_per_cell=10),
    "20 of each 48x48": Selection(cell_size=48, max_per_cell=20),
    "NMS, 2 px": Selection(nms_radius=2),
    "NMS, 4 px": Selection(nms_radius=4),
}
CELL = 32.0  # pixels; side of the cells that are counted
SIZE = 240, 320  # height and width of the network's image that is timed
REPEATS = 60


class Spread(FloatMethod):
    """The shipped network with a rule that selects its keypoints; it remembers what it found in each image."""

    def __init__(self, name: str, rule: Selection, count: int) -> None:
        self.name = name
        self._extractor = Extractor.load(None, count, precision=DEFAULT_PRECISION, scale=CAMERA_SCALE, selection=rule)
        self._found: dict[bytes, Features] = {}

    def features(self, image: NDArray[np.uint8]) -> Features:
        """Features of an image (H, W)."""
        key = image.tobytes()
        if key not in self._found:
            self._found[key] = self._extractor(image)
        return self._found[key]

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        features = self.features(image)
        return Keypoints(features.keypoints, features.scores, features.descriptors)


def judge(folder: Path, method: Spread, options: Options, pairs: int) -> Row:
    """Keypoints and filled cells of the first image of a sequence, and its matches, tracks, poses and odometry."""
    keypoints = method.features(open_sequence(folder)[0].image).keypoints
    cells = np.unique(np.floor((keypoints + 0.5) / CELL), axis=0)
    row = {"keypoints": float(len(keypoints)), "cells": float(len(cells))}
    followed = measure(folder, method.features)
    row |= {name: followed[name] for name in ("matches", "right", "share", "long tracks")}
    motions = evaluate_relative_pose(method, folder, options, pairs).overall[method.name]
    row |= {name: round(float(motions[name]), 4) for name in ("AUC@5", "AUC@10", "inliers")}
    try:
        found = evaluate_odometry(method, folder, options).overall[method.name]
    except DatasetError:
        return row  # neither depth nor a right camera
    return row | {name: round(float(found[name]), 4) for name in ("drift [%]", "ATE [m]", "RPE [m]", "RPE [°]")}


def times(backend: str, count: int, threads: int) -> dict[str, float]:
    """Milliseconds that each rule adds to an image of SIZE, of medians of runs in turn."""
    rules = RULES | {"border, 19 px": Selection(border=19), "all": Selection(4, 32, 10, 19)}
    image = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    runs = {}
    for name, rule in rules.items():
        loaded = Extractor.load(
            None, count, backend, DEFAULT_PRECISION, CAMERA_SCALE, threads=threads, selection=rule
        ).backend
        runs[name] = partial(loaded.extract, image)
    found = interleaved(runs, REPEATS, f"{backend}, {count} keypoints")
    plain = found["best scores"]["median"]
    return {name: round(quartiles["median"] - plain, 2) for name, quartiles in found.items()}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, help="folder of sequences")
    arguments.add_argument("--disparity-offset", type=float, help="pixels, as in evaluate odometry")
    arguments.add_argument("--pairs", type=int, default=100, help="of images, for relative poses (%(default)s)")
    arguments.add_argument("--threads", type=int, default=2, help="of the timed networks (%(default)s)")
    options = arguments.parse_args()
    spread: dict[str, dict[str, Row]] = {}
    for count in COUNTS:
        settings = Options(top_k=count, pictures=0, disparity_offset=options.disparity_offset)
        for folder in sequences(options.data):
            for name, rule in RULES.items():
                row = judge(folder, Spread(name, rule, count), settings, options.pairs)
                spread.setdefault(f"{folder.name}, {count} keypoints", {})[name] = row
                print(f"{folder.name}, {count} keypoints, {name}: {row}", flush=True)
    added = {
        f"{backend}, {count} keypoints": times(backend, count, options.threads)
        for backend in ("openvino", "onnxruntime")
        for count in COUNTS
    }
    save("spread", {"effects": spread, "added [ms]": added})


if __name__ == "__main__":
    main()
