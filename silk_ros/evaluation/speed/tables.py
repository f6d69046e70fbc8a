"""Tables of aligned text for the console."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """A line for the heads and each row; numbers to the right, and the columns whose head is in `left` to the left."""
    columns = list(zip(heads, *rows))
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(
            text.ljust(width) if heads[index] in left else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in (heads, *rows)
    )
