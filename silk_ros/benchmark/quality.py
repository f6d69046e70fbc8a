"""What settings of the front-end cost in quality, as `evaluate` measured it: quality.json, shipped with the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
def table() -> dict[Setting, float]:
    """AUC@10 of relative poses by setting, mean over sequences of 640x480; the best first."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    found = {Setting(row["edge"], row["precision"], row["keypoints"]): float(row["auc"]) for row in rows}
    return dict(sorted(found.items(), key=lambda item: -item[1]))
