"""The odometry of the demo beside the true path: drift and picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...geometry.trajectory import end_drift, path_length, start_at

TRUE_COLOUR, ESTIMATE_COLOUR = "#3ca03c", "#1e5ad2"

Poses = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """An estimated trajectory (N, 4, 4), moved to the first pose of the true one, and the true one (N, 4, 4).

    metric: whether the estimate has its own scale; otherwise it got the scale that fits the true one best.
    """

    estimate: Poses
    truth: Poses
    metric: bool

    @property
    def drift(self) -> float:
        """Distance between the ends in % of the path."""
        return end_drift(self.estimate, self.truth)

    @property
    def length(self) -> float:
        """Metres of the true path."""
        return path_length(self.truth)


def compare(estimate: dict[int, Poses], truth: dict[int, Poses], metric: bool) -> Comparison | None:
    """Compare poses (4, 4) by stamp; the estimated ones may be in a frame of their own.

    Poses after the source has started again are left out. Returns None for fewer than three common stamps, and where
    one of the two does not move.
    """
    end = _second_start(truth)
    stamps = [stamp for stamp in sorted(estimate.keys() & truth.keys()) if stamp < end]
    if len(stamps) < 3:
        return None
    estimated, true = (np.array([poses[stamp] for stamp in stamps]) for poses in (estimate, truth))
    if not all(np.ptp(poses[:, :3, 3], axis=0).any() for poses in (estimated, true)):
        return None
    return Comparison(start_at(estimated, true, free_scale=not metric), true, metric)


def _second_start(truth: dict[int, Poses]) -> float:
    """The stamp at which the true poses return to exactly the first one; infinite if they never do."""
    stamps = sorted(truth)
    home = np.array([np.array_equal(truth[stamp], truth[stamps[0]]) for stamp in stamps], bool)
    returns = np.flatnonzero(home[1:] & ~home[:-1])
    return stamps[returns[0] + 1] if len(returns) else float("inf")


def draw_trajectories(comparison: Comparison, path: Path) -> None:
    """Write a picture of both trajectories in the plane of the two axes along which the true one extends most."""
    truth, estimate = (poses[:, :3, 3] for poses in (comparison.truth, comparison.estimate))
    horizontal, vertical = np.sort(np.argsort(np.ptp(truth, axis=0))[1:])
    aligned = "" if comparison.metric else ", scale aligned"
    figure = Figure(figsize=(7.2, 7.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    paths = (truth, TRUE_COLOUR, "true path"), (estimate, ESTIMATE_COLOUR, f"odometry{aligned}")
    for positions, colour, label in paths:
        x, y = positions[:, horizontal], positions[:, vertical]
        axes.plot(x, y, color=colour, linewidth=2, label=label)
        axes.plot(x[-1], y[-1], "o", color=colour, markersize=9)
    axes.plot(*truth[0, [horizontal, vertical]], "o", color="black", markerfacecolor="none", markersize=11)
    axes.set_title(f"start: circle, ends: dots; drift {comparison.drift:.1f} % of {comparison.length:.1f} m")
    axes.set(xlabel=f"{'xyz'[horizontal]} [m]", ylabel=f"{'xyz'[vertical]} [m]")
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
