"""Declared parameters as text: for the end of a help text, and as a table of a document."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from functools import partial

from .declarations import Declaration

WIDTH = 110  # characters of a line


def parameter_help(declarations: Iterable[Declaration], changes: bool = False) -> str:
    """The parameters with defaults, limits and meaning, for the end of a help text; with `changes`, also when each may
    change."""
    wrap = partial(textwrap.fill, width=WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    entries = []
    for each in declarations:
        limits = f" ({each.limits})" if each.limits else ""
        change = f" {each.change.capitalize()}." if changes else ""
        entries.append(textwrap.fill(f"  {each.name}={default_text(each)}{limits}", WIDTH, subsequent_indent=" " * 6))
        entries.append(wrap(each.description + change))
    return "\n".join(["parameters and their defaults:", *entries])


def parameter_table(declarations: Iterable[Declaration]) -> str:
    """The parameters as a table in Markdown."""
    rows = [f"| `{each.name}` | {default_text(each)} | {each.limits} | {each.description} |\n" for each in declarations]
    return "".join(["| parameter | default | range or choices | meaning |\n", "|---|---|---|---|\n", *rows])


def default_text(declaration: Declaration) -> str:
    """The default of a parameter as it is written on a command line."""
    default = declaration.default
    if isinstance(default, list):
        return f"[{', '.join(filter(None, default))}]"  # ROS has no empty list of texts: [""] stands for it
    return str(default).lower() if isinstance(default, bool) else str(default)
