"""Curves and trajectories as PNG pictures; a method has one colour and marker in all of them.

The colours are from the palettes of Okabe and Ito and of Tol, which colour-blind people can distinguish.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..results import VARIANT, Curve
from .report import GROUND_TRUTH, Outcome

_NETWORK_COLOURS = ["#D55E00", "#882255", "#AA4499", "#E6A817", "#661100"]
_PEER_COLOURS = {
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
_LIGHT = {"ink": "#1f2328", "faint": "#d7dbe0", "background": "#ffffff"}
_DARK = {"ink": "#e6e8eb", "faint": "#3a4048", "background": "#16191d"}
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
    highlights, spares = iter(_NETWORK_COLOURS * len(names)), iter(_SPARE_COLOURS * len(names))
    styles = {}
    for index, name in enumerate(names):
        colour = next(highlights) if name in networks else _PEER_COLOURS.get(name.partition("@")[0]) or next(spares)
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
    plots = [
        Plot(curve.title, *(draw_curve(curve, styles, dark) for dark in (False, True))) for curve in outcome.curves
    ]
    if outcome.trajectories:
        drawn = (draw_trajectories(outcome.trajectories, styles, dark) for dark in (False, True))
        plots.append(Plot("trajectories", *drawn))
    return plots


def draw_curve(curve: Curve, styles: Mapping[str, Style], dark: bool = False) -> bytes:
    """PNG of a curve. The variant in the name of a line sets its dash pattern."""

    def draw(axes: Axes) -> None:
        variants = list(dict.fromkeys(filter(None, (name.partition(VARIANT)[2] for name in curve.lines))))
        for name, (x, y) in curve.lines.items():
            method, _, variant = name.partition(VARIANT)
            style = styles.get(method, _UNKNOWN)
            axes.plot(
                *_plottable(x, y),
                color=_on_background(style.colour, dark),
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
            style = Style((_DARK if dark else _LIGHT)["ink"], "", 1.5) if true else styles.get(name, _UNKNOWN)
            axes.plot(
                path[:, first],
                path[:, second],
                color=_on_background(style.colour, dark),
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


def _on_background(colour: str, dark: bool) -> Any:
    """A colour, made lighter on a dark background."""
    return 0.7 * np.array(to_rgb(colour)) + 0.3 if dark else colour


def _plottable(x: Sequence[float], y: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays to plot, with NaN, which leaves a gap, for points that are not finite."""
    values = np.asarray(y, np.float64)
    return np.asarray(x, np.float64), np.where(np.isfinite(values), values, np.nan)


def _png(draw: Any, dark: bool) -> bytes:
    colours = _DARK if dark else _LIGHT
    ink, faint, background = colours["ink"], colours["faint"], colours["background"]
    with matplotlib.rc_context(
        {
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "legend.frameon": False,
            "legend.fontsize": 10,
            **dict.fromkeys(["figure.facecolor", "savefig.facecolor", "axes.facecolor"], background),
            **dict.fromkeys(["text.color", "axes.labelcolor", "xtick.color", "ytick.color"], ink),
            **dict.fromkeys(["axes.edgecolor", "grid.color"], faint),
        }
    ):
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        axes = figure.add_subplot()
        draw(axes)
        figure.legend(loc="outside lower center", ncols=3)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()
