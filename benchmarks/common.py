"""Results files and verdicts, shared by the benchmarks; the timing is that of the `benchmark` command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from silk_ros.backends import processor
from silk_ros.evaluation.report.report import slug
from silk_ros.evaluation.speed.timing import interleaved

__all__ = ["RESULTS", "interleaved", "save", "verdict"]

RESULTS = Path(__file__).parent / "results"


def save(name: str, results: Mapping[str, object], per_machine: bool = False) -> None:
    """Write benchmarks/results/NAME.json, with the machine that made it.

    per_machine: keep a file for each kind of processor, NAME-avx2.json and the like.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{slug(processor.instruction_sets())}.json" if per_machine else RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": processor.describe(), **results}, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def verdict(what: str, value: float, bound: float, at_least: bool) -> dict[str, object]:
    """Print and return one ratio beside what it should be."""
    met = value >= bound if at_least else value <= bound
    print(f"{what}: {value:.2f} (should be {'>=' if at_least else '<='} {bound:g}): {'met' if met else 'MISSED'}")
    return {"what": what, "value": round(value, 3), "bound": bound, "at_least": at_least, "met": bool(met)}
