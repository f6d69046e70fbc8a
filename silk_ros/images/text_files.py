"""Text files of data sets: encodings, rows and numbers. Errors name the file, the line and the fix."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class TextRow:
    """The fields of one line of a text file."""

    path: Path
    line: int
    fields: list[str]

    def numbers(self, count: int, first: int = 0, more: bool = False) -> list[float]:
        """`count` numbers from a field on; `more`: fields after them are ignored.

        Raises ValueError, naming the line and the fix, for other fields.
        """
        wanted = self.fields[first : first + count]
        for field in wanted:
            try:
                float(field)
            except ValueError:
                fix = "write decimals with a point" if "," in field else f"write {count} numbers"
                raise self.error(f"has '{field[:20]}' for a number: {fix}") from None
        if len(wanted) < count or (not more and len(self.fields) > first + count):
            raise self.error(f"has {max(0, len(self.fields) - first)} numbers, it needs {count}: write them")
        return [float(field) for field in wanted]

    def integer(self, field: int) -> int:
        """The whole number of a field. Raises ValueError, naming the line and the fix, for another one."""
        try:
            return int(self.fields[field])
        except (ValueError, IndexError):
            raise self.error(f"has no whole number in column {field + 1}: write one") from None

    def nanoseconds(self, field: int) -> int:
        """The time of a field in seconds, such as 1305031102.175304. Raises ValueError, naming the line and the fix."""
        try:
            return int(Decimal(self.fields[field]).scaleb(9).to_integral_value())
        except (ArithmeticError, ValueError, IndexError):
            raise self.error(f"has no time in column {field + 1}: write seconds, decimals with a point") from None

    def error(self, problem: str) -> ValueError:
        return ValueError(f"line {self.line} of '{self.path}' {problem}")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark. Raises OSError, and ValueError for another."""
    data = path.read_bytes()
    encoding = next((name for mark, name in ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
        at = text.encode(encoding).find(b"\0") if encoding.startswith("utf-8") else -1
    except UnicodeDecodeError as error:
        at = error.start
    if at >= 0:
        line = data[:at].count(b"\n") + 1
        kind = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise ValueError(f"line {line} of '{path}' is not {kind} text: save the file as UTF-8")
    return text


def read_rows(path: Path, separator: str | None = None) -> list[TextRow]:
    """The rows of a table, without blank lines and those that start with '#'.

    separator: None for blanks and tabs. Other tables may have a heading in their first row, which is left out.
    Raises OSError and ValueError as `read_text` does.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), 1)]
    rows = [
        TextRow(path, number, [field.strip() for field in line.split(separator)])
        for number, line in lines
        if line and not line.startswith("#")
    ]
    return rows[1:] if separator and rows and rows[0].fields[0][:1].isalpha() else rows


def read_matrix(path: Path, rows: int, columns: int) -> NDArray[np.float64]:
    """The matrix (rows, columns) in a text file. Raises OSError, and ValueError for other contents."""
    table = read_rows(path)
    numbers = [number for row in table for number in row.numbers(len(row.fields))]
    if len(numbers) != rows * columns:
        raise ValueError(f"'{path}' has {len(numbers)} numbers: write {rows} rows of {columns}")
    return np.reshape(numbers, (rows, columns))
