"""Matching quality by the front-end's settings: the table that `benchmark --rate` reads.

python -m benchmarks.quality path/to/tsukuba path/to/7scenes    # half an hour; sequences of 640x480

Runs `evaluate sweep relative-pose` over the network's input scale and the number of keypoints, in fp32 and
int8, and writes silk_ros/evaluation/speed/quality.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common import parser
from silk_ros.backends import processor
from silk_ros.evaluation.datasets.posed import open_sequence
from silk_ros.evaluation.methods.load import load_method
from silk_ros.evaluation.options import Options
from silk_ros.evaluation.results import Failure
from silk_ros.evaluation.speed.quality import TABLE
from silk_ros.evaluation.tasks.registry import TASKS
from silk_ros.evaluation.tasks.sweeps import run_sweep

TASK, METRIC = "relative-pose", "AUC@10"
SHORTER_EDGE = 480  # of the sequences' images
EDGES = (240, 192, 144, 120)  # shorter edges of the network's input
KEYPOINTS = (5000, 3000, 2000, 1000, 500)
PRECISIONS = ("fp32", "int8")  # bf16 finds the same as fp32 (docs/performance.md)
RUNS = 2  # estimates of each pair

Values = dict[tuple[str, int, int], list[float]]  # by precision, edge and keypoints; one value for each sequence


def measure(folder: Path, precision: str, values: Values) -> None:
    """Add a sequence's values. Raises ValueError for another image size, and if the evaluation fails."""
    edge = min(open_sequence(folder)[0].image.shape)
    if edge != SHORTER_EDGE:
        raise ValueError(f"the images of '{folder}' have a shorter edge of {edge} pixels, not {SHORTER_EDGE}")
    failures: list[Failure] = []
    over: dict[str, Sequence[float]] = {"scale": [edge / SHORTER_EDGE for edge in EDGES], "top-k": list(KEYPOINTS)}
    load = partial(load_method, "silk", precision=precision)
    options = Options(top_k=max(KEYPOINTS), pictures=0, runs=RUNS)
    sweep = run_sweep(
        TASK, TASKS[TASK], [lambda count, scale: load(count, scale=scale)], folder, options, 1.0, over, failures
    )
    if sweep is None or failures:
        raise ValueError("; ".join(map(str, failures)) or f"nothing could be evaluated on '{folder}'")
    for point in sweep.points:
        key = precision, round(point.values["scale"] * SHORTER_EDGE), int(point.values["top-k"])
        values.setdefault(key, []).append(float(point.metrics[METRIC]))
        print(folder.name, *key, f"{point.metrics[METRIC]:.3f}", flush=True)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("sequences", type=Path, nargs="+", help="folders with poses, as for evaluate relative-pose")
    options = arguments.parse_args()
    values: Values = {}
    try:
        for precision in PRECISIONS:
            for folder in options.sequences:
                measure(folder, precision, values)
    except (OSError, ValueError) as error:
        raise SystemExit(f"quality: {error}") from error
    rows = [
        {"precision": precision, "edge": edge, "keypoints": keypoints, "auc": round(float(np.mean(found)), 4)}
        for (precision, edge, keypoints), found in values.items()
    ]
    names = " and ".join(folder.name for folder in options.sequences)
    described = f"{METRIC} of relative poses, mean over {names}, {RUNS} estimates of each pair"
    table = {"measured": described, "machine": processor.describe(), "rows": rows}
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {TABLE}")


if __name__ == "__main__":
    main()
