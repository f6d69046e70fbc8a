"""Command lines, results files, tables and verdicts of the benchmarks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from silk_ros.backends import processor
from silk_ros.evaluation.report.report import slug
from silk_ros.evaluation.speed.timing import interleaved

__all__ = ["RESULTS", "interleaved", "parser", "save", "table", "verdict", "verdict_line"]

RESULTS = Path(__file__).parent / "results"


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of command lines whose help shows a module's docstring as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def save(name: str, results: Mapping[str, Any], per_machine: bool = False) -> None:
    """Print the verdicts in the results, and write benchmarks/results/NAME.json with a description of this machine.

    per_machine: keep one file for each kind of processor, such as NAME-avx2.json.
    """
    for judged in results.get("verdicts", ()):
        print(verdict_line(judged))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{slug(processor.instruction_sets())}.json" if per_machine else RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": processor.describe(), **results}, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """A Markdown table with the first `texts` columns aligned left, and the others, numbers, aligned right."""
    rule = "".join("---|" if index < texts else "--:|" for index in range(len(heads)))
    head, *body = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([head, f"|{rule}", *body])


def verdict(what: str, value: float | None, bound: float, at_least: bool) -> dict[str, Any]:
    """A measured value with its target and whether it is `met`; both are None if nothing was measured."""
    met = None if value is None else bool(value >= bound if at_least else value <= bound)
    value = None if value is None else round(value, 3)
    return {"what": what, "value": value, "bound": bound, "at_least": at_least, "met": met}


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """A verdict in words."""
    state = {True: "met", False: "missed", None: "open"}[verdict["met"]]
    value = "not measured" if verdict["value"] is None else f"{verdict['value']:.2f}"
    bound = f"{'at least' if verdict['at_least'] else 'at most'} {verdict['bound']:g}"
    return f"{verdict['what']}: {value}, should be {bound}: {state}"
