"""Curves and trajectories as PNG pictures; a method has one colour and marker in all of them.

The colours are from the palettes of Okabe and Ito and of Tol, which colour-blind people can distinguish.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..results import VARIANT, Curve
from .report import GROUND_TRUTH, Outcome

NETWORK_COLOURS = ["#D55E00", "#882255", "#AA4499", "#E6A817", "#661100"]
PEER_COLOURS = {
    "SIFT": "#0072B2",
    "ORB": "#009E73",
    "AKAZE": "#8C8C8C",
    "XFeat": "#56B4E9",
    "ALIKED": "#9970AB",
    "DISK": "#A6761D",
}
_SPARE_COLOURS = ["#44AA99", "#999933", "#6699CC"]
_MARKERS = "osD^vPX*<>dph"
_DASHES = ["-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5))]
INK, INK_ON_DARK = "#1f2328", "#e6e8eb"
_SIZE, _DPI = (5.6, 3.7), 144  # inches
_EMPTY_SHARE = 0.06  # of the height, above the highest point


@dataclass(frozen=True)
class Style:
    """Look of a method in every plot of a report."""

    colour: str
    marker: str
    width: float


_UNKNOWN = Style("#8C8C8C", "", 1.5)


def method_styles(names: Sequence[str], networks: Collection[str]) -> dict[str, Style]:
    """Styles by method. `networks` are the names to emphasise."""
    highlights, spares = iter(NETWORK_COLOURS * len(names)), iter(_SPARE_COLOURS * len(names))
    styles = {}
    for index, name in enumerate(names):
        colour = next(highlights) if name in networks else PEER_COLOURS.get(name.partition("@")[0]) or next(spares)
        styles[name] = Style(colour, _MARKERS[index % len(_MARKERS)], 2.8 if name in networks else 1.5)
    return styles


@dataclass(frozen=True)
class Plot:
    """A plot as PNG, with a light and with a dark background."""

    title: str
    light: bytes
    dark: bytes


def draw_outcome(outcome: Outcome, styles: Mapping[str, Style]) -> list[Plot]:
    """Every curve of an outcome, and its trajectories if it has any."""
    plots = [(curve.title, partial(draw_curve, curve, styles)) for curve in outcome.curves]
    if outcome.trajectories:
        plots.append(("trajectories", partial(draw_trajectories, outcome.trajectories, styles)))
    return [Plot(title, draw(dark=False), draw(dark=True)) for title, draw in plots]


def draw_curve(curve: Curve, styles: Mapping[str, Style], dark: bool = False) -> bytes:
    """PNG of a curve. The variant in the name of a line sets its dash pattern."""

    def draw(axes: Axes) -> None:
        variants = list(dict.fromkeys(filter(None, (name.partition(VARIANT)[2] for name in curve.lines))))
        for name, (x, y) in curve.lines.items():
            method, _, variant = name.partition(VARIANT)
            style = styles.get(method, _UNKNOWN)
            axes.plot(
                x,
                np.where(np.isfinite(y), y, np.nan),  # NaN leaves a gap
                color=lighter(style.colour, 0.3 * dark),
                linewidth=style.width,
                linestyle=_DASHES[variants.index(variant) % len(_DASHES)] if variant else "-",
                marker=style.marker if len(x) <= 25 else "",
                markersize=3 + style.width,
                zorder=2 + style.width,  # the networks on top
                label=name,
            )
        axes.set(title=curve.title, xlabel=curve.x_label, ylabel=curve.y_label)
        values = [value for _, y in curve.lines.values() for value in y if np.isfinite(value)]
        if values and min(values) >= 0:
            axes.set_ylim(0, (max(values) or 1) * (1 + _EMPTY_SHARE))
        axes.grid(axis="y", linewidth=0.7)

    return _png(draw, dark)


def draw_trajectories(
    trajectories: Mapping[str, Sequence[Sequence[float]]], styles: Mapping[str, Style], dark: bool = False
) -> bytes:
    """PNG of paths in metres, along the two axes in which the GROUND_TRUTH path is longest.

    trajectories: rows of [t, tx, ty, tz, ...] by method.
    """
    paths = {name: np.asarray(rows, np.float64)[:, 1:4] for name, rows in trajectories.items()}
    first, second = np.argsort(-np.ptp(paths[GROUND_TRUTH], axis=0), kind="stable")[:2].tolist()

    def draw(axes: Axes) -> None:
        for name, path in paths.items():
            true = name == GROUND_TRUTH
            style = Style(INK_ON_DARK if dark else INK, "", 1.5) if true else styles.get(name, _UNKNOWN)
            axes.plot(
                path[:, first],
                path[:, second],
                color=lighter(style.colour, 0.3 * dark),
                linewidth=style.width * 0.7,
                linestyle=":" if true else "-",
                marker=style.marker,
                markevery=[-1],  # at the end, where the drift shows
                markersize=4 + style.width,
                zorder=2 + style.width,
                label=name,
            )
        axes.set(title="Trajectories", xlabel=f"{'xyz'[first]} [m]", ylabel=f"{'xyz'[second]} [m]")
        axes.set_aspect("equal", adjustable="datalim")
        axes.grid(linewidth=0.7)

    return _png(draw, dark)


def lighter(colour: str, white: float) -> Any:
    """A colour mixed with a share of white, as matplotlib takes it."""
    return (1 - white) * np.array(to_rgb(colour)) + white


def look(dark: bool = False) -> dict[Any, Any]:
    """matplotlib's parameters of all plots, on a light or a dark background."""
    ink, faint, background = (INK_ON_DARK, "#3a4048", "#16191d") if dark else (INK, "#d7dbe0", "#ffffff")
    return {
        "font.size": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "legend.frameon": False,
        **dict.fromkeys(["figure.facecolor", "savefig.facecolor", "axes.facecolor"], background),
        **dict.fromkeys(["text.color", "axes.labelcolor", "xtick.color", "ytick.color"], ink),
        **dict.fromkeys(["axes.edgecolor", "grid.color"], faint),
    }


def _png(draw: Callable[[Axes], None], dark: bool) -> bytes:
    titles: dict[Any, Any] = {"axes.titlesize": 12, "axes.titleweight": "bold", "legend.fontsize": 10}
    with matplotlib.rc_context(look(dark) | titles):
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        axes = figure.add_subplot()
        draw(axes)
        figure.legend(loc="outside lower center", ncols=3)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()
