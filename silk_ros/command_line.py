"""The parser that all programs of the package share: help as it is written, and the version."""

from __future__ import annotations

import argparse

from . import __version__


def command_parser(name: str | None, description: str | None) -> argparse.ArgumentParser:
    """A parser with `--version` whose help shows the docstring of a program's module as it is written.

    name: of the program; None: that of its file.
    """
    parser = argparse.ArgumentParser(
        name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"silk_ros {__version__}")
    return parser
