"""Command-line options and error messages that the programs of this package share."""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from silk_ros.backends import processor
from silk_ros.command_line import executable
from silk_ros.images.console import console_log

from .config import TrainConfig


def readable_errors(main: Callable[[list[str] | None], int | None]) -> Callable[..., int]:
    """Decorator of a program, which logs to stderr and returns the exit status: for bad input 1, after one line."""

    @functools.wraps(main)
    def wrapped(arguments: list[str] | None = None) -> int:
        try:
            with console_log(__package__ or "training"):
                return main(arguments) or 0
        except (OSError, ValueError, ImportError, FloatingPointError) as error:
            print(f"{Path(main.__code__.co_filename).stem}: {error}", file=sys.stderr)
            return 1

    return wrapped


def program(name: str, *arguments: str) -> str:
    """The command line, to copy, of a program of this package; torchrun's if this process is one of several."""
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    several = name == "train" and processes != "1"
    python = executable(Path(sys.executable).name)
    launcher = [executable("torchrun"), "--nproc-per-node", processes] if several else [python]
    return shlex.join([*launcher, "-m", f"{__package__}.{name}", *arguments])


def how_to_use(model: Path) -> str:
    """The commands, to copy, that show an ONNX file at work."""
    on_robot = shlex.join(["ros2", "launch", "silk_ros", "silk.launch.py", f"model_path:={model.resolve()}"])
    return f"{shlex.join(['make', 'demo', f'MODEL={model}'])}\n  or, on a robot: {on_robot}"


def add_data(parser: argparse.ArgumentParser, name: str, meaning: str, **known: Any) -> None:
    """Add an option that takes data, each with an optional weight, as pairs (path, weight)."""
    parser.add_argument(name, type=parse_data, nargs="+", metavar="PATH[=WEIGHT]", help=meaning, **known)


def parse_data(text: str) -> tuple[str, float]:
    """`PATH` or `PATH=WEIGHT` as (path, weight). Raises argparse.ArgumentTypeError."""
    path, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    if path in TrainConfig.model_fields and not Path(path).exists():
        raise argparse.ArgumentTypeError(f"'{text}' stands among the data: put settings behind --output OUTPUT")
    try:
        return path, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not PATH or PATH=WEIGHT, for example photos/sky=0.1") from None


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add --device, --workers and the positional settings, and list all settings below the options."""
    parser.add_argument("--device", choices=["cpu", "cuda"], help="where to compute (default: a GPU if there is one)")
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # processes that torchrun started on this machine
    # Enough to keep a GPU busy. On a CPU, the step takes most of the time.
    workers = min(16, processor.cores() // local_world) if torch.cuda.is_available() else 0
    workers_help = "processes that prepare pairs for a GPU (%(default)s)"
    parser.add_argument("--workers", type=int, default=workers, help=workers_help)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="change a setting, for example steps=20000")
    settings = [f"  {name:22}{field.description}" for name, field in TrainConfig.model_fields.items()]
    parser.epilog = "\n".join(["settings (NAME=VALUE, values in YAML):", *settings])
