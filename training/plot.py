"""Draw the curves of trainings from their TensorBoard logs.

python -m training.plot runs/mu curves.png
python -m training.plot runs/a runs/b curves.png       # several runs in one picture
"""

from __future__ import annotations

import itertools
import logging
import shlex
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from silk_ros.command_line import command_parser, executable

from .options import readable_errors
from .train import LOG_EVERY

log = logging.getLogger(__name__)

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

PANELS = {
    "loss": {"train/descriptor": "descriptor", "train/keypoint": "keypoint"},
    "match rate": {"train/match_rate": "training", "validation/match_rate": "held-out photos"},
    "held-out photos": {
        "validation/f1": "keypoint F1",
        "validation/homography_accuracy": "homography accuracy at 3 px",
    },
}
MARKED = 20  # points up to which each is marked
SMOOTHING = 100  # window of the running mean, drawn over the pale single values


def read_curves(run: Path) -> dict[str, Curve]:
    """The logged values of a training by their tags, each as (steps, values).

    Raises ValueError, naming the fix, for a folder without logs, and without a curve of at least two points.
    """
    events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["scalars"]
    if "train/total" not in tags:
        raise ValueError(f"no training logs in '{run}': give the --output of training.train")
    points = {tag: np.array([(event.step, event.value) for event in events.Scalars(tag)]).T for tag in tags}
    curves = {tag: (steps, values) for tag, (steps, values) in points.items() if len(steps) > 1}
    if "train/total" not in curves:
        raise ValueError(
            f"'{run}' has only one logged step, too few for a curve: the loss is logged every {LOG_EVERY} steps, so "
            "train for longer"
        )
    return curves


def draw_curves(runs: list[Path], path: Path) -> None:
    """Write a picture of loss, match rate and validation scores. Raises what `read_curves` raises."""
    matplotlib.use("Agg")
    curves = {run: read_curves(run) for run in runs}
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(14, 4), layout="constrained")
    for axis, (title, lines) in zip(axes, PANELS.items()):
        for index, (run, (tag, label)) in enumerate(itertools.product(runs, lines.items())):
            if tag in curves[run]:
                _draw(axis, f"C{index}", *curves[run][tag], f"{run.name}: {label}" if len(runs) > 1 else label)
        axis.set(title=title, xlabel="step", **({"yscale": "log"} if title == "loss" else {"ylim": (0, 1)}))
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)
        else:
            log.warning("no curve of '%s': fewer than two values of it are logged", title)
            axis.text(0.5, 0.5, "fewer than two values", ha="center", transform=axis.transAxes)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw(axis: Axes, color: str, steps: NDArray[np.float64], values: NDArray[np.float64], label: str) -> None:
    """Draw a curve: few values with markers, many as their running mean over the pale single values."""
    marker = "." if len(values) <= MARKED else ""
    if len(values) > 3 * SMOOTHING:
        axis.plot(steps, values, color=color, alpha=0.15, linewidth=0.5)
        values = np.convolve(values, np.ones(SMOOTHING) / SMOOTHING, mode="valid")
        steps = steps[SMOOTHING - 1 :]
    axis.plot(steps, values, color=color, marker=marker, label=label)


@readable_errors
def main(arguments: list[str] | None = None) -> None:
    parser = command_parser(None, __doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="--output folders of training.train")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    options = parser.parse_args(arguments)
    draw_curves(options.runs, options.picture)
    print(f"wrote {options.picture}")
    board = shlex.join([executable("tensorboard"), "--logdir", str(options.runs[0])])
    print(f"next: {board}    # all values, pictures of matches")


if __name__ == "__main__":
    sys.exit(main())
