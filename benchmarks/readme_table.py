"""Write the tables of README.md from benchmarks/results/{pipeline,matching,node}-MACHINE.json, machine by machine.

python -m benchmarks.readme_table            # between <!-- benchmark --> and <!-- /benchmark -->
python -m benchmarks.readme_table --check    # status 1 if they are not those of the results
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- benchmark -->", "<!-- /benchmark -->"
REFERENCE = "naive export"
Results = dict[str, Any]


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def pipeline_rows(pipeline: Results) -> list[str]:
    """One row for each pipeline, one column for each setting; in brackets its speed over the reference's."""
    settings = pipeline["ms"]
    rows = [
        f"| ms per image, {pipeline['threads']} threads | {' | '.join(settings)} |",
        "|---|" + "---|" * len(settings),
    ]
    for name in dict.fromkeys(name for times in settings.values() for name in times):
        cells = []
        for times in settings.values():
            if name not in times:
                cells.append("")
                continue
            median = times[name]["median"]
            cells.append(f"{number(median)} ({times[REFERENCE]['median'] / median:.1f}x)")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def verdict_rows(*results: Results) -> list[str]:
    rows = ["| what | measured | aim |", "|---|---|---|"]
    for verdict in (verdict for result in results for verdict in result["verdicts"]):
        sign = "≥" if verdict["at_least"] else "≤"
        value = number(verdict["value"])
        rows.append(
            f"| {verdict['what']} | {value if verdict['met'] else f'**{value}**'} | {sign} {verdict['bound']:g} |"
        )
    return rows


def tables(folder: Path) -> str:
    """The Markdown between the markers. Raises OSError or ValueError for results that are not there or of old."""
    machines = sorted(path.stem.removeprefix("pipeline-") for path in folder.glob("pipeline-*.json"))
    if not machines:
        raise ValueError(f"no pipeline-*.json in '{folder}': run make benchmark")
    head = f"In brackets the speed relative to the {REFERENCE}'s; missed aims in bold. Each table is of one machine."
    return "\n\n".join([head, *(_machine_tables(folder, machine) for machine in machines)])


def _machine_tables(folder: Path, machine: str) -> str:
    """The tables of one machine, with what was measured of it: the pipelines at least."""
    paths = [folder / f"{name}-{machine}.json" for name in ("pipeline", "matching", "node")]
    try:
        found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
        labels = {results["machine"] for results in found}
        if len(labels) > 1:
            raise ValueError(f"results of several machines in '{folder}': {'; '.join(sorted(labels))}")
        missing = [path.stem.partition("-")[0] for path in paths if not path.is_file()]
        note = f" (not measured there: {', '.join(missing)})" if missing else ""
        return "\n".join([f"**On {labels.pop()}**{note}:", "", *pipeline_rows(found[0]), "", *verdict_rows(*found)])
    except KeyError as error:
        raise ValueError(f"no {error} in the results of {machine} in '{folder}': run make benchmark again") from error


def replaced(text: str, block: str) -> str:
    """README's text with the block between the markers. Raises ValueError without markers."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"no {START} and {END} in the README")
    return f"{before}{START}\n{block}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--readme", type=Path, default=README, help="(README.md)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results (benchmarks/results)")
    options = parser.parse_args(arguments)
    try:
        old = options.readme.read_text(encoding="utf-8")
        new = replaced(old, tables(options.results))
    except (OSError, ValueError) as error:
        print(f"readme_table: {error}", file=sys.stderr)
        return 1
    if options.check:
        if old != new:
            print(
                f"{options.readme} is not up to date with the results: run python -m benchmarks.readme_table",
                file=sys.stderr,
            )
        return int(old != new)
    options.readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
