"""What settings of the front-end cost in quality, as `evaluate` measured it: quality.json, shipped with the package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("quality.json")  # made by benchmarks/quality.py


@dataclass(frozen=True)
class Setting:
    """How the network is run: its shorter edge in pixels, its arithmetic, and the number of keypoints."""

    edge: int
    precision: str
    keypoints: int


@cache
def table() -> Mapping[Setting, float]:
    """AUC@10 of relative poses by setting, means over sequences of 640x480, made monotone.

    The estimates are uncertain by some hundredths, and one of more work may come out below one of less. Each gets the
    middle between the best of all that do no more work and the worst of all that do no less, and int8 no more than
    fp32.
    """
    rows = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    measured = {Setting(row["edge"], row["precision"], row["keypoints"]): float(row["auc"]) for row in rows}
    monotone = {
        setting: (
            max(auc for other, auc in measured.items() if _does_no_less(setting, other))
            + min(auc for other, auc in measured.items() if _does_no_less(other, setting))
        )
        / 2
        for setting in measured
    }
    return {setting: min(auc, monotone[replace(setting, precision="fp32")]) for setting, auc in monotone.items()}


def _does_no_less(one: Setting, other: Setting) -> bool:
    return one.precision == other.precision and one.edge >= other.edge and one.keypoints >= other.keypoints
