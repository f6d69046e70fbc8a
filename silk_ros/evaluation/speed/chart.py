"""The bar chart of the extraction times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .extraction import Timing

OWN, PEER = "#D55E00", "#0072B2"  # the colours of networks and SIFT in the plots of `evaluate`
INK, FAINT = "#1f2328", "#d7dbe0"
LIGHTEST = 0.5  # share of white in the bars of the fewest keypoints
PANEL_WIDTH, BAR_HEIGHT = 5.4, 0.17  # inches


def draw_chart(timings: Sequence[Timing], title: str, path: Path) -> None:
    """Write a PNG with a panel for each image size, a group of bars for each pipeline and a bar for each K."""
    sizes = list(dict.fromkeys(timing.size for timing in timings))
    counts = sorted({timing.keypoints for timing in timings})
    first = [timing for timing in timings if timing.size == sizes[0] and timing.keypoints == counts[0]]
    order = [timing.pipeline for timing in sorted(first, key=lambda timing: timing.ms["median"])]
    height = 1.7 + BAR_HEIGHT * (len(counts) + 1) * len(order)
    with matplotlib.rc_context(
        {
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            **dict.fromkeys(["axes.edgecolor", "grid.color"], FAINT),
            **dict.fromkeys(["text.color", "axes.labelcolor", "xtick.color", "ytick.color"], INK),
        }
    ):
        figure = Figure(figsize=(1.5 + PANEL_WIDTH * len(sizes), height), dpi=144, layout="constrained")
        panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for panel, size in zip(panels, sizes):
            _draw_panel(panel, [timing for timing in timings if timing.size == size], order, counts)
        figure.suptitle(title, fontweight="bold", fontsize=12)
        figure.legend(handles=_legend(counts), loc="outside lower center", ncols=2 + len(counts), frameon=False)
        figure.savefig(path)


def _draw_panel(axes: Axes, timings: Sequence[Timing], order: Sequence[str], counts: Sequence[int]) -> None:
    longest = max(timing.ms["p75"] for timing in timings)
    thickness = 0.8 / len(counts)
    for timing in timings:
        row = counts.index(timing.keypoints)
        y = order.index(timing.pipeline) - 0.4 + (row + 0.5) * thickness
        low, middle, high = (timing.ms[name] for name in ("p25", "median", "p75"))
        colour = _shade(PEER if timing.peer else OWN, row, len(counts))
        axes.barh(y, middle, 0.9 * thickness, color=colour)
        axes.plot([low, high], [y, y], color=INK, linewidth=1)
        axes.text(high + 0.015 * longest, y, f"{middle:.3g}", va="center", fontsize=9)
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(len(order) - 0.45, -0.55)  # the fastest on top
    axes.set_xlim(0, 1.1 * longest)
    axes.tick_params(length=0)
    axes.grid(axis="x", linewidth=0.7)
    axes.set_title("{}x{}".format(*timings[0].size), loc="left")
    axes.set_xlabel("ms per image")


def _legend(counts: Sequence[int]) -> list[Patch]:
    shades = [
        Patch(color=_shade("#6b6b6b", row, len(counts)), label=f"K = {count}") for row, count in enumerate(counts)
    ]
    return [Patch(color=OWN, label="SiLK"), Patch(color=PEER, label="peers"), *shades]


def _shade(colour: str, row: int, rows: int) -> tuple[float, float, float]:
    """The colour for the last row, and lighter shades of it for the rows before."""
    white = LIGHTEST * (rows - 1 - row) / max(1, rows - 1)
    red, green, blue = ((1 - white) * channel + white for channel in to_rgb(colour))
    return red, green, blue
