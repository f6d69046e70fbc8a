"""Quality of the front-end's settings as `evaluate` measured it, from the shipped file quality.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("quality.json")  # made by benchmarks/quality.py


@dataclass(frozen=True)
class NetworkSetting:
    """The shorter edge of the network's image in pixels, its arithmetic, and the number of keypoints."""

    edge: int
    precision: str
    keypoints: int


@cache
def table() -> Mapping[NetworkSetting, float]:
    """AUC@10 of relative poses by setting, means over sequences of 640x480, made monotone.

    The estimates are uncertain by some hundredths, so that a setting with more work may have a lower one. Each setting
    gets the mean of the best estimate among those with no more work and the worst among those with no less, and int8 at
    most the value of fp32.
    """
    rows = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    measured = {NetworkSetting(row["edge"], row["precision"], row["keypoints"]): float(row["auc"]) for row in rows}
    monotone = {}
    for setting in measured:
        best_of_less = max(auc for other, auc in measured.items() if _does_no_less(setting, other))
        worst_of_more = min(auc for other, auc in measured.items() if _does_no_less(other, setting))
        monotone[setting] = (best_of_less + worst_of_more) / 2
    return {setting: min(auc, monotone[replace(setting, precision="fp32")]) for setting, auc in monotone.items()}


def _does_no_less(one: NetworkSetting, other: NetworkSetting) -> bool:
    return one.precision == other.precision and one.edge >= other.edge and one.keypoints >= other.keypoints
