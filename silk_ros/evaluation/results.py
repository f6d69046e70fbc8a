"""What every evaluation task returns, and all that the report knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, float]  # metric -> value, in the order of the columns
Table = dict[str, Row]  # method -> its row


@dataclass(frozen=True)
class Picture:
    """An image (H, W, 3) uint8 BGR for people to look at."""

    caption: str
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Curve:
    """One plot: a line (x values, y values) for each method."""

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[list[float], list[float]]]

    def as_json(self) -> dict[str, Any]:
        return vars(self) | {"lines": dict(self.lines)}


@dataclass
class TaskResult:
    """Outcome of one task over one data set, for several methods in one run.

    task:     "homography", "relative_pose", "registration", "odometry", "rotation" or "scale".
    overall:  mean over everything.
    groups:   the same for each group of sequences, by the group's name.
    settings: protocol and data set, JSON-able.
    details:  JSON-able, whatever else is worth keeping (values per pair, trajectories).
    """

    task: str
    overall: Table
    groups: dict[str, Table] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        return {
            "task": self.task,
            "settings": self.settings,
            "overall": self.overall,
            "groups": self.groups,
            "details": self.details,
            "curves": [curve.as_json() for curve in self.curves],
        }
