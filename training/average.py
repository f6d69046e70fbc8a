"""Average the weights of networks trained on from the same start (model soups, Wortsman et al., ICML 2022).

    python -m training.average runs/a/last.safetensors=2 runs/b/last.safetensors --output average.safetensors

The mean of such networks works: it combines the recipes and averages out the random choices of each training.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from silk_ros.backends.model import sha256
from silk_ros.command_line import command_parser

from .checkpoint import Checkpoint, load_checkpoint
from .options import parse_data, program, readable_errors


def average(paths: Sequence[Path], weights: Sequence[float]) -> Checkpoint:
    """The weighted mean of checkpoints of one architecture, with the configuration and provenance of the first one.

    Raises FileNotFoundError or ValueError for other files.
    """
    checkpoints = [load_checkpoint(path) for path in paths]
    first = checkpoints[0]
    for path, other in zip(paths, checkpoints):
        kinds = [checkpoint.config["architecture"] for checkpoint in (other, first)]
        if kinds[0] != kinds[1]:
            advice = "only trainings of one architecture from the same start can be averaged"
            raise ValueError(f"'{path}' is a {kinds[0]}, '{paths[0]}' a {kinds[1]}: {advice}")
    model, total = {}, sum(weights)
    for name, tensor in first.model.items():
        scaled = (weight / total * other.model[name].double() for weight, other in zip(weights, checkpoints))
        model[name] = sum(scaled, start=torch.zeros(())).to(tensor.dtype)
    parts = [
        f"{weight:g} x {part.config['augmentation']}, {part.step} steps, "
        f"commit {part.provenance.get('commit')}, sha256 {sha256(path)}"
        for path, part, weight in zip(paths, checkpoints, weights)
    ]
    return Checkpoint(model, {}, first.step, first.config, first.provenance | {"average": "; ".join(parts)}, {})


@readable_errors
def main(arguments: list[str] | None = None) -> None:
    parser = command_parser(None, __doc__)
    parser.add_argument("checkpoints", type=parse_data, nargs="+", metavar="FILE[=WEIGHT]", help="weight 1 by default")
    parser.add_argument("--output", type=Path, required=True, help=".safetensors file to write")
    options = parser.parse_args(arguments)
    for path, weight in options.checkpoints:
        if not 0 < weight < math.inf:
            parser.error(f"'{weight}' of '{path}' is not a weight: write FILE or FILE=2")
    paths, weights = zip(*options.checkpoints)
    average(list(map(Path, paths)), weights).save(options.output)
    print(f"wrote {options.output}")
    print(f"next: {program('export', str(options.output), str(options.output.with_suffix('.onnx')))}")


if __name__ == "__main__":
    sys.exit(main())
