"""Weights and training state in safetensors files, which hold tensors and text but no code (no pickle).

The tensors of the network are stored under `model.`, those of the optimizer under `optimizer.`; the metadata hold the
other values of a `Checkpoint` as JSON.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from silk_ros.paths import write_atomically

from .model import SiLK

FORMAT = "silk_ros checkpoint 1"
IN_METADATA = "step", "config", "provenance", "scores"


def git_commit() -> str:
    """Git commit of this code, with `-dirty` for local changes; `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@dataclass
class Checkpoint:
    """State of a training after a number of steps."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]  # empty in files of weights alone
    step: int
    config: dict[str, Any]
    provenance: dict[str, str]  # commit, data_hash and versions; steps_before, those of the network it began with
    scores: dict[str, float]  # of the validation at that step; empty without one

    def save(self, path: Path) -> None:
        """Write the file atomically: after a crash the old file is still complete."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.items()}
        metadata = {"format": FORMAT, **{name: json.dumps(getattr(self, name)) for name in IN_METADATA}}
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_atomically(path, safetensors.torch.save(stored, metadata))

    @property
    def total_steps(self) -> int:
        """All training steps of the network, with those of the network that this training began with."""
        return self.step + int(self.provenance.get("steps_before", 0))

    def network(self, device: str | torch.device = "cpu") -> SiLK:
        """Network with these weights, in eval mode."""
        model = SiLK(self.config["architecture"])
        model.load_state_dict(self.model)
        return model.to(device).eval()


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint. Raises FileNotFoundError, or ValueError for any other file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no checkpoint '{path}': give the last.safetensors or best.safetensors of a training")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is '{metadata.get('format')}', not '{FORMAT}'")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        known = {name: json.loads(metadata[name]) for name in IN_METADATA}
        return Checkpoint(_under("model.", tensors), _under("optimizer.", tensors), **known)
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        message = f"'{path}' is not a checkpoint of training.train ({error}): give its last.safetensors"
        raise ValueError(message) from error


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of the optimizer for all parameters as one flat dictionary."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": tensor for index, values in state.items() for name, tensor in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load the dictionary from `optimizer_tensors` into an optimizer of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
