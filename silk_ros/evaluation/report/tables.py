"""Tables of metrics: the best values, the number of decimals, and their form on the console."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from tabulate import tabulate

from ..results import Row, Table

BETTER_HIGH = re.compile(r"repeatab|accura|\b(auc|mma|maa|ha)\b|inlier|correct|widest|largest", re.IGNORECASE)
BETTER_LOW = re.compile(r"error|drift|fail|lost|smallest|\b(ate|rpe)\b", re.IGNORECASE)
MISSING = "–"
# A table of strings as aligned text, all columns to the right unless `colalign` says otherwise.
text_table = partial(tabulate, tablefmt="plain", disable_numparse=True, stralign="right")


@dataclass(frozen=True)
class Column:
    """A metric as the head of a column; `MMA@3` has the name `MMA` and the threshold `@3`."""

    metric: str

    @property
    def name(self) -> str:
        return self.metric.partition("@")[0]

    @property
    def threshold(self) -> str:
        return self.metric.removeprefix(self.name)

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower is better, 0 if neither is, as for a count."""
        if BETTER_HIGH.search(self.name):
            return 1
        return -1 if BETTER_LOW.search(self.name) else 0


@dataclass(frozen=True)
class Cell:
    text: str
    best: bool = False


@dataclass(frozen=True)
class Grid:
    """A table for display. `heads` name the columns of labels; each block of rows has its own best values."""

    heads: tuple[str, ...]
    blocks: Sequence[Sequence[tuple[tuple[str, ...], Row]]]

    @property
    def columns(self) -> list[Column]:
        rows = [row for block in self.blocks for _, row in block]
        return [Column(metric) for metric in dict.fromkeys(metric for row in rows for metric in row)]

    def spans(self) -> list[tuple[Column, int]]:
        """The names above the thresholds: the first column of each name, and the number of columns that share it."""
        grouped = [list(columns) for _, columns in groupby(self.columns, key=lambda column: column.name)]
        return [(columns[0], len(columns)) for columns in grouped]

    def starts(self) -> list[bool]:
        """Whether each column is the first of its name."""
        return [index == 0 for _, count in self.spans() for index in range(count)]

    def cells(self) -> list[list[tuple[tuple[str, ...], list[Cell]]]]:
        """The rows of each block as text. A first label equal to the one above it is left empty."""
        columns = self.columns
        all_rows = [row for block in self.blocks for _, row in block]
        digits = {column.metric: _digits(column, all_rows) for column in columns}
        shown = []
        for block in self.blocks:
            best = {column.metric: _best(column, [row for _, row in block]) for column in columns}
            rows, above = [], ""
            for labels, row in block:
                values = [(column.metric, row.get(column.metric, math.nan)) for column in columns]
                cells = [Cell(_text(value, digits[metric]), value == best[metric]) for metric, value in values]
                rows.append((("" if labels[0] == above else labels[0], *labels[1:]), cells))
                above = labels[0]
            shown.append(rows)
        return shown


def _best(column: Column, rows: Sequence[Row]) -> float | None:
    """The best value; None if there is no best one, or all values are equal."""
    values = [row.get(column.metric, math.nan) for row in rows]
    finite = [value for value in values if math.isfinite(value)]
    if not column.sign or not finite or len(set(values)) == 1:
        return None
    return max(finite) if column.sign > 0 else min(finite)


def _digits(column: Column, rows: Sequence[Row]) -> int:
    """Decimals of a column: none for counts, three for shares."""
    finite = [abs(row[column.metric]) for row in rows if math.isfinite(row.get(column.metric, math.nan))]
    if not finite or (column.sign == 0 and max(finite) > 10):
        return 0
    if all(value == int(value) for value in finite) and (max(finite) > 1 or column.sign < 1):
        return 0
    return 3 if max(finite) < 10 else 2 if max(finite) < 100 else 1 if max(finite) < 1000 else 0


def _text(value: float, digits: int) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:.{digits}f}" if math.isfinite(value) else "∞" if value > 0 else "-∞"


def method_grid(table: Table) -> Grid:
    """One row for each method."""
    return Grid(("method",), [[((name,), row) for name, row in table.items()]])


def group_grid(groups: Mapping[str, Table]) -> Grid:
    """One block for each group, one row in it for each method."""
    blocks = [[((group, name), row) for name, row in table.items()] for group, table in groups.items()]
    return Grid(("group", "method"), blocks)


def console_table(grid: Grid) -> str:
    """Aligned text, labels to the left and numbers to the right; the heads are broken into lines of single words."""
    rows = [[*labels, *(cell.text for cell in cells)] for block in grid.cells() for labels, cells in block]
    heads = [*grid.heads, *(column.metric.replace(" ", "\n").replace("@", "\n@") for column in grid.columns)]
    return text_table(rows, heads, colalign=["left"] * len(grid.heads))
