"""The tables of README.md, written from benchmarks/results/{pipeline,matching,node}-MACHINE.json.

python -m benchmarks.readme_table            # between <!-- benchmark --> and <!-- /benchmark -->
python -m benchmarks.readme_table --check    # status 1 if they differ from the results
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, parser, table

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- benchmark -->", "<!-- /benchmark -->"
REFERENCE = "naive export"
Results = dict[str, Any]


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def pipeline_table(pipeline: Results) -> str:
    """A row for each pipeline and a column for each setting; in brackets the speed relative to the reference."""
    settings = pipeline["ms"]
    medians = [{name: time["median"] for name, time in times.items()} for times in settings.values()]
    rows = [
        [name, *(f"{number(own[name])} ({own[REFERENCE] / own[name]:.1f}x)" if name in own else "" for own in medians)]
        for name in dict.fromkeys(name for own in medians for name in own)
    ]
    return table([f"ms per image, {pipeline['threads']} threads", *settings], rows, texts=1 + len(settings))


def verdict_table(*results: Results) -> str:
    rows = []
    for verdict in (verdict for result in results for verdict in result["verdicts"]):
        value = number(verdict["value"]) if verdict["met"] else f"**{number(verdict['value'])}**"
        rows.append([verdict["what"], value, f"{'≥' if verdict['at_least'] else '≤'} {verdict['bound']:g}"])
    return table(["what", "measured", "aim"], rows, texts=3)


def tables(folder: Path) -> str:
    """The Markdown between the markers. Raises OSError or ValueError for results that are missing or outdated."""
    machines = sorted(path.stem.removeprefix("pipeline-") for path in folder.glob("pipeline-*.json"))
    if not machines:
        raise ValueError(f"no pipeline-*.json in '{folder}': run make benchmark")
    head = f"In brackets the speed relative to the {REFERENCE}'s; missed aims in bold. Each table is of one machine."
    return "\n\n".join([head, *(_machine_tables(folder, machine) for machine in machines)])


def _machine_tables(folder: Path, machine: str) -> str:
    """The tables of one machine; the pipelines' results must exist, the others may be missing."""
    paths = [folder / f"{name}-{machine}.json" for name in ("pipeline", "matching", "node")]
    try:
        found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
        labels = {results["machine"] for results in found}
        if len(labels) > 1:
            raise ValueError(f"results of several machines in '{folder}': {'; '.join(sorted(labels))}")
        missing = [path.stem.partition("-")[0] for path in paths if not path.is_file()]
        note = f" (not measured there: {', '.join(missing)})" if missing else ""
        return "\n\n".join([f"**On {labels.pop()}**{note}:", pipeline_table(found[0]), verdict_table(*found)])
    except KeyError as error:
        raise ValueError(f"no {error} in the results of {machine} in '{folder}': run make benchmark again") from error


def replaced(text: str, block: str) -> str:
    """The text with the block between its markers. Raises ValueError without markers."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"no {START} and {END} in the README")
    return f"{before}{START}\n{block}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    command_line = parser(__doc__)
    command_line.add_argument("--check", action="store_true", help="write nothing")
    command_line.add_argument("--readme", type=Path, default=README, help="(README.md)")
    command_line.add_argument("--results", type=Path, default=RESULTS, help="folder (benchmarks/results)")
    options = command_line.parse_args(arguments)
    try:
        old = options.readme.read_text(encoding="utf-8")
        new = replaced(old, tables(options.results))
    except (OSError, ValueError) as error:
        print(f"readme_table: {error}", file=sys.stderr)
        return 1
    if not options.check:
        options.readme.write_text(new, encoding="utf-8")
    elif old != new:
        print(f"{options.readme} is not up to date: run python -m benchmarks.readme_table", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
