"""The bar chart of the extraction times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..report.plots import INK, NETWORK_COLOURS, PEER_COLOURS, lighter, look
from .extraction import Timing

OWN, PEER = NETWORK_COLOURS[0], PEER_COLOURS["SIFT"]
LIGHTEST = 0.5  # share of white in the bars of the fewest keypoints
PANEL_WIDTH, BAR_HEIGHT = 5.4, 0.17  # inches


def draw_chart(timings: Sequence[Timing], title: str, path: Path) -> None:
    """Write a PNG with a panel for each image size, a group of bars for each pipeline and a bar for each K."""
    sizes = list(dict.fromkeys(timing.size for timing in timings))
    counts = sorted({timing.keypoints for timing in timings})
    first = [timing for timing in timings if timing.size == sizes[0] and timing.keypoints == counts[0]]
    order = [timing.pipeline for timing in sorted(first, key=lambda timing: timing.ms["median"])]
    height = 1.7 + BAR_HEIGHT * (len(counts) + 1) * len(order)
    white = dict(zip(counts, np.linspace(LIGHTEST * (len(counts) > 1), 0, len(counts)).tolist()))
    shades = [Patch(color=lighter("#6b6b6b", share), label=f"K = {count}") for count, share in white.items()]
    legend = [Patch(color=OWN, label="SiLK"), Patch(color=PEER, label="peers"), *shades]
    with matplotlib.rc_context(look()):
        figure = Figure(figsize=(1.5 + PANEL_WIDTH * len(sizes), height), dpi=144, layout="constrained")
        panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for panel, size in zip(panels, sizes):
            _draw_panel(panel, [timing for timing in timings if timing.size == size], order, white)
        figure.suptitle(title, fontweight="bold", fontsize=12)
        figure.legend(handles=legend, loc="outside lower center", ncols=len(legend))
        figure.savefig(path)


def _draw_panel(axes: Axes, timings: Sequence[Timing], order: Sequence[str], white: Mapping[int, float]) -> None:
    """white: share of white in the colour of the bars, by number of keypoints."""
    longest = max(timing.ms["p75"] for timing in timings)
    thickness = 0.8 / len(white)
    for timing in timings:
        y = order.index(timing.pipeline) - 0.4 + (list(white).index(timing.keypoints) + 0.5) * thickness
        low, middle, high = (timing.ms[name] for name in ("p25", "median", "p75"))
        colour = lighter(PEER if timing.peer else OWN, white[timing.keypoints])
        axes.barh(y, middle, 0.9 * thickness, color=colour)
        axes.plot([low, high], [y, y], color=INK, linewidth=1)
        axes.text(
            high + 0.015 * longest, y, f"{middle:.3g}" if middle < 100 else f"{middle:.0f}", va="center", fontsize=9
        )
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(len(order) - 0.45, -0.55)  # the fastest on top
    axes.set_xlim(0, 1.1 * longest)
    axes.tick_params(length=0)
    axes.grid(axis="x", linewidth=0.7)
    axes.set_title("{}x{}".format(*timings[0].size))
    axes.set_xlabel("ms per image")
