"""Command lines, results files, tables and verdicts of the benchmarks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from silk_ros.backends import processor
from silk_ros.evaluation.report.report import slug
from silk_ros.evaluation.speed.timing import interleaved

__all__ = ["RESULTS", "interleaved", "parser", "save", "table", "verdict"]

RESULTS = Path(__file__).parent / "results"


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of command lines whose help shows a module's docstring as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def save(name: str, results: Mapping[str, object], per_machine: bool = False) -> None:
    """Write benchmarks/results/NAME.json, with a description of this machine.

    per_machine: keep one file for each kind of processor, such as NAME-avx2.json.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{slug(processor.instruction_sets())}.json" if per_machine else RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": processor.describe(), **results}, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """A Markdown table with the first `texts` columns aligned left, and the others, numbers, aligned right."""
    rule = "".join("---|" if index < texts else "--:|" for index in range(len(heads)))
    head, *body = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([head, f"|{rule}", *body])


def verdict(what: str, value: float, bound: float, at_least: bool) -> dict[str, object]:
    """Print and return a measured value with its target, and whether it meets the target."""
    met = value >= bound if at_least else value <= bound
    print(f"{what}: {value:.2f} (should be {'>=' if at_least else '<='} {bound:g}): {'met' if met else 'MISSED'}")
    return {"what": what, "value": round(value, 3), "bound": bound, "at_least": at_least, "met": bool(met)}
