"""A task over the values of one or more settings, as in Tab. 10 to 12 and Fig. 5 to 7 of the paper."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..methods.base import Cached, Method
from ..methods.load import OnnxMethod
from ..methods.opencv import OpenCVMethod
from ..options import Options
from ..report.report import Outcome
from ..report.tables import Column, Grid
from ..results import VARIANT, Curve, Failure, Row
from .registry import Task, protocol, run_task

logger = logging.getLogger("evaluate")
Loader = Callable[[int, float], Method]  # from the number of keypoints and the input scale


@dataclass(frozen=True)
class Axis:
    """A setting that can be swept: its field in Options, empty if it has none, and its default values."""

    option: str
    label: str
    values: tuple[float, ...]
    whole: bool = False


_FILTERS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)
AXES: dict[str, Axis] = {
    "top-k": Axis("top_k", "keypoints (top-k)", (1000, 2500, 5000, 7500, 10000), whole=True),  # Tab. 11
    "image-size": Axis("shorter_edge", "shorter edge [px]", (240, 360, 480, 600, 720), whole=True),  # Tab. 10
    "ratio": Axis("ratio", "ratio-test threshold", _FILTERS),  # Tab. 12
    "double-softmax": Axis("double_softmax", "double-softmax threshold", _FILTERS),  # Tab. 12
    "scale": Axis("", "input scale of the network", (1.0, 0.7, 0.5)),
}


@dataclass(frozen=True)
class Point:
    """One row: a method with the swept settings at `values`. Only networks have an input scale."""

    method: str
    values: dict[str, float]
    metrics: Row


@dataclass(frozen=True)
class Sweep:
    """The result of a sweep."""

    task: str
    data: str
    over: Mapping[str, Sequence[float]]
    settings: Mapping[str, Any]
    points: Sequence[Point]

    @property
    def title(self) -> str:
        return f"{self.task.replace('_', ' ')} on {Path(self.data).resolve().name} over {' and '.join(self.over)}"

    def grids(self) -> list[tuple[str, Grid]]:
        """A table in the form of the paper's: a row for each method and value."""
        rows = []
        for point in self.points:
            values = (f"{point.values[axis]:g}" if axis in point.values else "-" for axis in self.over)
            rows.append(((point.method, *values), point.metrics))
        return [("", Grid(("method", *self.over), [rows]))]

    @cached_property
    def curves(self) -> list[Curve]:
        """Each metric over the last of the swept settings, with a line for each combination of the others."""
        *others, last = self.over
        metrics = dict.fromkeys(metric for point in self.points for metric in point.metrics)
        curves = []
        for metric in metrics:
            if not Column(metric).sign:
                continue
            lines: dict[str, tuple[list[float], list[float]]] = {}
            for point in self.points:
                variant = ", ".join(f"{axis} {point.values[axis]:g}" for axis in others if axis in point.values)
                x, y = lines.setdefault(VARIANT.join(filter(None, [point.method, variant])), ([], []))
                # A metric that does not depend on the setting is a level line.
                places = [point.values[last]] if last in point.values else [min(self.over[last]), max(self.over[last])]
                x += places
                y += [point.metrics[metric]] * len(places)
            curves.append(Curve(metric, AXES[last].label, metric, lines))
        return curves

    def outcome(self) -> Outcome:
        """The section of the report."""
        return Outcome(self.title, self.settings, self.grids(), self.curves, vars(self) | {"curves": self.curves})


def run_sweep(
    name: str,
    task: Task,
    loaders: Sequence[Loader],
    folder: Path,
    options: Options,
    scale: float,
    over: Mapping[str, Sequence[float]],
    failures: list[Failure],
) -> Sweep | None:
    """The task at every combination of the values of `over`, settings from AXES. None if nothing could be evaluated.

    Failures are as in `run_task`; other values continue.
    """
    top_k = max(over.get("top-k", [options.top_k]))
    points: list[Point] = []
    settings: Mapping[str, Any] = {}
    for load in loaders:
        method = load(options.top_k, scale)
        if "double-softmax" in over and isinstance(method, OpenCVMethod):
            logger.info("%s has no matching probability: left out", method.name)
            continue
        found: list[Point] = []
        of_features, of_matches = _split_axes(over, isinstance(method, OnnxMethod))
        for feature_values in _combinations(of_features):
            try:
                cached = Cached(load(int(feature_values.get("top-k", top_k)), feature_values.get("scale", scale)))
            except ValueError as error:  # an impossible scale
                failures.append(Failure(name, str(folder), "", str(error)))
                continue
            for match_values in _combinations(of_matches):
                values = feature_values | match_values
                variant = ", ".join(f"{axis} {value:g}" for axis, value in values.items())
                if result := run_task(name, task, [cached], folder, _with(options, values), failures, variant):
                    settings = protocol(options, scale, result)
                    found += [Point(method.name, values, row) for row in result.overall.values()]
        points += sorted(
            found, key=lambda point: [over[axis].index(point.values[axis]) for axis in over if axis in point.values]
        )
    swept = {AXES[axis].option or "input_scale" for axis in over}
    settings = {setting: value for setting, value in settings.items() if setting not in swept}
    return Sweep(name.replace("-", "_"), str(folder), over, settings, points) if points else None


def _split_axes(
    over: Mapping[str, Sequence[float]], network: bool
) -> tuple[dict[str, Sequence[float]], dict[str, Sequence[float]]]:
    """The settings on which features depend, and those that need no new extraction.

    A network's best 1000 of 10,000 keypoints are those it finds if limited to 1000. Other methods (ORB spreads its
    keypoints over octaves) are loaded again for each top-k, and have no input scale.
    """
    feature_axes = ("image-size", "scale") if network else ("image-size", "top-k")
    of_features = {axis: values for axis, values in over.items() if axis in feature_axes}
    of_matches = {axis: over[axis] for axis in over if axis not in of_features and (network or axis != "scale")}
    return of_features, of_matches


def _combinations(axes: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def _with(options: Options, values: Mapping[str, float]) -> Options:
    fields: dict[str, Any] = {AXES[axis].option: value for axis, value in values.items() if AXES[axis].option}
    return replace(options, pictures=0, **fields)
