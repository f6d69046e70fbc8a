"""What all programs of the package share: the parser, and how a program is started on this machine."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

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


def program(name: str, *arguments: str) -> str:
    """The command line, to copy, that starts a program of this package on this machine."""
    return shlex.join([*([executable(name)] if is_here(name) else ["ros2", "run", "silk_ros", name]), *arguments])


def is_here(name: str) -> bool:
    """Whether a program is installed beside this Python, or where the shell finds it."""
    return _beside(name).is_file() or shutil.which(name) is not None


def executable(name: str) -> str:
    """The program beside this Python, by its path from here if it lies below; else its name, for the shell to find."""
    path = _beside(name)
    if not path.is_file():
        return name
    return os.path.relpath(path) if Path.cwd() in path.parent.parents else str(path)


def _beside(name: str) -> Path:
    return Path(sys.executable).parent / name
