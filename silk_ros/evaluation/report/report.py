"""The report of an evaluation, and the file results.json.

results.json holds, with null for numbers that are not finite:

    silk_ros     version of this package
    created      local date and time, ISO 8601
    command      the command line
    machine      processor, its instruction sets and what limits them, cores, operating system
    versions     Python and the libraries that compute
    models       file name and sha256 of the ONNX file of each method that is a network
    results      a list, one entry for each task and data set: either
                 task, data, settings, overall {method: {metric: value}}, groups {group: {method: {metric: value}}},
                 details, curves [{title, x_label, y_label, lines {method: [x values, y values]}}]; or, of a sweep,
                 task, data, settings, over {setting: values}, curves,
                 points [{method, values {setting: value}, metrics {metric: value}}]
    failures     a list of {task, data, method, message}; method is empty if the data set itself was at fault
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from ..results import Curve, Failure, Picture, TaskResult
from ..run_info import RunInfo
from .glossary import legend
from .tables import Grid, group_grid, method_grid

GROUND_TRUTH = "ground truth"


def slug(title: str) -> str:
    """A title as a file name or an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


@dataclass(frozen=True)
class Outcome:
    """A section of the report: one task over one data set, or a sweep of one.

    grids:        tables with their captions, the main one first.
    json:         the entry of results.json.
    trajectories: rows [t, tx, ty, tz, qx, qy, qz, qw] by method, the true ones under GROUND_TRUTH; only of odometry.
    """

    title: str
    settings: Mapping[str, Any]
    grids: Sequence[tuple[str, Grid]]
    curves: Sequence[Curve]
    json: dict[str, Any]
    pictures: Sequence[Picture] = ()
    trajectories: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)

    @property
    def task(self) -> str:
        return str(self.json["task"])

    @property
    def legend(self) -> dict[str, str]:
        """The meaning of the columns by their names."""
        return legend(self.task, self.grids[0][1].columns)


def task_outcome(data: str, result: TaskResult) -> Outcome:
    """The section of a task over the data set in the folder `data`."""
    grids = [("", method_grid(result.overall))]
    if result.groups:
        grids.append(("by group", group_grid(result.groups)))
    paths = result.details.get("trajectories", {})
    return Outcome(
        f"{result.task.replace('_', ' ')} on {Path(data).resolve().name}",
        result.settings,
        grids,
        result.curves,
        {"task": result.task, "data": data} | {key: value for key, value in vars(result).items() if key != "pictures"},
        result.pictures,
        {GROUND_TRUTH: result.details["ground_truth"], **paths} if paths else {},
    )


@dataclass
class Report:
    """Everything from one run of `evaluate`, in the order of display."""

    run: RunInfo
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            **vars(self.run),
            "results": [outcome.json for outcome in self.outcomes],
            "failures": [vars(failure) | {"task": failure.task.replace("-", "_")} for failure in self.failures],
        }

    def write_json(self, path: Path) -> None:
        path.write_text(json.dumps(_finite(self.as_json()), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """A copy in plain types: null for NaN and infinity, which JSON lacks; numpy's arrays and dataclasses unpacked."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
