"""The outcome of an evaluation task, which is all that the report knows of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, float]  # metric -> value, in the order of the columns
Table = dict[str, Row]  # method -> its row
VARIANT = " · "  # between the method and its variant in the name of a line


@dataclass(frozen=True)
class Failure:
    """An evaluation that failed, with the reason. `method` is empty if the data set itself was at fault."""

    task: str
    data: str
    method: str
    message: str

    def __str__(self) -> str:
        return f"{' '.join(filter(None, [self.task, self.method]))} on {self.data}: {self.message}"


@dataclass(frozen=True)
class Picture:
    """An image (H, W, 3) uint8 BGR of the report."""

    caption: str
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Curve:
    """One plot: a line (x values, y values) for each method, named after it or `method · variant`."""

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[list[float], list[float]]]


@dataclass
class TaskResult:
    """Outcome of one task over one data set, for several methods in one run.

    task: "homography", "relative_pose", "registration", "odometry", "rotation" or "scale". overall: means over
    everything. groups: means over each group of sequences, by its name. settings: protocol and data set, JSON-able.
    details: values per pair, trajectories and the like, JSON-able.
    """

    task: str
    overall: Table
    groups: dict[str, Table] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
