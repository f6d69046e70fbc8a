"""Draw the curves of trainings from their TensorBoard logs.

python -m training.plot runs/mu curves.png
python -m training.plot runs/a runs/b curves.png       # several runs in one picture
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from silk_ros.command_line import command_parser

from .options import readable_errors

PANELS = {
    "loss": {"train/descriptor": "descriptor", "train/keypoint": "keypoint"},
    "match rate": {"train/match_rate": "training", "validation/match_rate": "held-out photos"},
    "held-out photos": {
        "validation/f1": "keypoint F1",
        "validation/homography_accuracy": "homography accuracy at 3 px",
    },
}
SMOOTHING = 100  # window of the running mean, drawn over the pale single values


def draw_curves(runs: list[Path], path: Path) -> None:
    """Write a picture of loss, match rate and validation scores. Raises ValueError for a run without logs."""
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(14, 4), layout="constrained")
    logs = [EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload() for run in runs]
    for run, events in zip(runs, logs):
        if "train/total" not in events.Tags()["scalars"]:
            raise ValueError(f"no training logs in '{run}': give the --output of training.train")
    for axis, (title, lines) in zip(axes, PANELS.items()):
        curves = itertools.product(zip(runs, logs), lines.items())
        for index, ((run, events), (tag, label)) in enumerate(curves):
            if tag not in events.Tags()["scalars"]:
                continue
            steps, values = np.array([(event.step, event.value) for event in events.Scalars(tag)]).T
            if len(values) > 3 * SMOOTHING:
                axis.plot(steps, values, color=f"C{index}", alpha=0.15, linewidth=0.5)
                values = np.convolve(values, np.ones(SMOOTHING) / SMOOTHING, mode="valid")
                steps = steps[SMOOTHING - 1 :]
            axis.plot(steps, values, color=f"C{index}", label=f"{run.name}: {label}" if len(runs) > 1 else label)
        axis.set(title=title, xlabel="step", **({"yscale": "log"} if title == "loss" else {"ylim": (0, 1)}))
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


@readable_errors
def main(arguments: list[str] | None = None) -> None:
    parser = command_parser(None, __doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="--output folders of training.train")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    options = parser.parse_args(arguments)
    draw_curves(options.runs, options.picture)
    print(f"wrote {options.picture}")


if __name__ == "__main__":
    sys.exit(main())
