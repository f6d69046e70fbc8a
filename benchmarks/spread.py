"""Effects of spread keypoints on sequences with known poses, and the time that the selection takes.

python -m benchmarks.spread path/to/sequences --disparity-offset 1.18    # a folder of KITTI's or 7-Scenes' layout each
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
from numpy.typing import NDArray

from benchmarks.common import parser, save
from benchmarks.selection import Row, measure, sequences
from silk_ros import Extractor, Features
from silk_ros.backends.model import Model
from silk_ros.backends.parity import photographs
from silk_ros.evaluation.datasets.posed import open_sequence
from silk_ros.evaluation.methods.base import DEFAULT_PRECISION, FloatMethod, Keypoints
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.tasks.odometry import evaluate_odometry
from silk_ros.evaluation.tasks.relative_pose import evaluate_relative_pose
from silk_ros.front_end_options import CAMERA_SCALE
from silk_ros.paths import default_model
from silk_ros.selection import Selection

COUNTS = (2000, 5000)
RULES = {
    "best scores": Selection(),
    "10 of each 32x32": Selection(cell_size=32, max_per_cell=10),
    "20 of each 48x48": Selection(cell_size=48, max_per_cell=20),
    "25 of each 48x48": Selection(cell_size=48, max_per_cell=25),
    "3 of each 16x16": Selection(cell_size=16, max_per_cell=3),
    "NMS, 4 px": Selection(nms_radius=4),
}
CELL = 32.0  # pixels; side of the cells that are counted
SIZE = 240, 320  # height and width of the network's image
REPEATS = 150


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


def times(count: int, threads: int) -> dict[str, dict[str, float]]:
    """Least milliseconds of the part from the logits to the chosen positions, of each rule by runtime, all in turn."""
    rules = RULES | {"border, 19 px": Selection(border=19), "all": Selection(4, 32, 10, 19)}
    session = onnxruntime.InferenceSession(cut(Selection(), count, ["image"], ["logits"]))
    (logits,) = session.run(None, {"image": photographs(*SIZE)[0][None, None]})
    found: dict[str, dict[str, float]] = {}
    for runtime in (in_openvino, in_onnxruntime):
        runs = {
            name: runtime(cut(rule, count, ["logits"], ["x", "y", "flat_scores"]), logits, threads)
            for name, rule in rules.items()
        }
        least = dict.fromkeys(runs, np.inf)
        for _ in range(REPEATS):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                least[name] = min(least[name], 1e3 * (time.perf_counter() - start))
        found[f"{runtime.__name__}, {count} keypoints"] = {name: round(value, 2) for name, value in least.items()}
    return found


def cut(rule: Selection, count: int, inputs: list[str], outputs: list[str]) -> bytes:
    """The part of the shipped network's graph between some of its tensors."""
    content = Model(default_model(), rule.rules(CAMERA_SCALE)).file("fp32").content
    network = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content))
    part = onnx.utils.Extractor(network).extract_model(inputs, outputs)
    for tensor in part.graph.initializer:
        if tensor.name == "max_keypoints":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([count]), tensor.name))
    return part.SerializeToString()


def in_openvino(content: bytes, logits: NDArray[np.float32], threads: int) -> Callable[[], object]:
    core = openvino.Core()
    graph = core.read_model(content)
    graph.reshape({"logits": list(logits.shape)})
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(graph, "CPU", options).create_infer_request()
    return lambda: request.infer([logits], share_inputs=True, share_outputs=True)


def in_onnxruntime(content: bytes, logits: NDArray[np.float32], threads: int) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(content, options)
    return lambda: session.run(None, {"logits": logits})


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, help="folder of sequences")
    arguments.add_argument("--disparity-offset", type=float, help="pixels, as in evaluate odometry")
    arguments.add_argument("--pairs", type=int, default=100, help="of images, for relative poses (%(default)s)")
    arguments.add_argument("--threads", type=int, default=2, help="of the timed selection (%(default)s)")
    options = arguments.parse_args()
    spread: dict[str, dict[str, Row]] = {}
    for count in COUNTS:
        settings = Options(top_k=count, pictures=0, disparity_offset=options.disparity_offset)
        for folder in sequences(options.data):
            for name, rule in RULES.items():
                row = judge(folder, Spread(name, rule, count), settings, options.pairs)
                spread.setdefault(f"{folder.name}, {count} keypoints", {})[name] = row
                print(f"{folder.name}, {count} keypoints, {name}: {row}", flush=True)
    taken = {name: row for count in COUNTS for name, row in times(count, options.threads).items()}
    save("spread", {"effects": spread, "time [ms]": taken})


if __name__ == "__main__":
    main()
