"""Average the weights of networks trained on from the same start (model soups, Wortsman et al., ICML 2022).

    python -m training.average runs/a/last.safetensors=2 runs/b/last.safetensors --output average.safetensors

Trainings that start alike end close enough to each other for their mean to be a network too, with what each recipe
taught and less of what each drew by chance.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from silk_ros.backends.model import sha256

from .checkpoint import Checkpoint, load_checkpoint


def average(paths: Sequence[Path], weights: Sequence[float]) -> Checkpoint:
    """The weighted mean of checkpoints, with the first one's configuration and provenance.

    Raises FileNotFoundError or ValueError for files that are no checkpoints, or of different architectures.
    """
    checkpoints = [load_checkpoint(path) for path in paths]
    first = checkpoints[0]
    for path, other in zip(paths[1:], checkpoints[1:], strict=True):
        if other.config["architecture"] != first.config["architecture"]:
            raise ValueError(
                f"'{path}' is a {other.config['architecture']}, '{paths[0]}' a {first.config['architecture']}: "
                "only trainings of one network, on from the same start, can be averaged"
            )
    total = sum(weights)
    model = {}
    for name, tensor in first.model.items():
        mean = sum(
            weight / total * other.model[name].double() for weight, other in zip(weights, checkpoints, strict=True)
        )
        model[name] = mean.to(tensor.dtype)  # type: ignore[union-attr]
    parts = [
        f"{weight:g} x {part.config['augmentation']}, {part.step} steps, "
        f"commit {part.provenance.get('commit')}, sha256 {sha256(path)}"
        for path, part, weight in zip(paths, checkpoints, weights, strict=True)
    ]
    provenance = first.provenance | {"average": "; ".join(parts)}
    return Checkpoint(model, {}, first.step, first.config, provenance, {})


def _part(text: str) -> tuple[Path, float]:
    path, equals, weight = text.rpartition("=")
    if not equals:
        return Path(text), 1.0
    try:
        value = float(weight)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{weight}' of '{text}' is not a weight: write FILE or FILE=2")
    return Path(path), value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=_part, nargs="+", metavar="FILE[=WEIGHT]", help="weights are 1 unless told")
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    options = parser.parse_args(arguments)
    paths, weights = zip(*options.checkpoints, strict=True)
    try:
        average(paths, weights).save(options.output)
    except (OSError, ValueError) as error:
        print(f"average: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.output}; training.export makes a network for the node of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
