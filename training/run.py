"""A training from its first step on, or continued from a checkpoint after the checks that it is the same training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from .checkpoint import Checkpoint, git_commit, load_checkpoint, optimizer_tensors, restore_optimizer
from .config import AUTO, TrainConfig
from .distributed import Workplace
from .model import SiLK
from .photos import Photos
from .precision import resolve_bf16


@dataclass
class TrainingRun:
    """Network, optimizer and settings of a training in progress.

    config:     the settings, with bf16 resolved for the device.
    provenance: commit, data_hash, torch and processes at the first step.
    first_step: step to continue from, 0 for a new training.
    """

    config: TrainConfig
    model: SiLK
    optimizer: torch.optim.Optimizer
    provenance: dict[str, str]
    first_step: int = 0

    def checkpoint(self, step: int, scores: dict[str, float] | None = None) -> Checkpoint:
        """State after `step` steps: to continue from, or, with validation scores, the network without the optimizer."""
        tensors = optimizer_tensors(self.optimizer) if scores is None else {}
        return Checkpoint(self.model.state_dict(), tensors, step, self.config.as_dict(), self.provenance, scores or {})


def start_run(
    config: TrainConfig, photos: Photos, place: Workplace, last: Path, resume: bool, start: SiLK | None
) -> TrainingRun:
    """A new training on `photos`, or the one that the checkpoint `last` continues. Raises what `find_start` raises.

    start: network to begin with, instead of a random one.
    """
    versions = {"commit": git_commit(), "torch": str(torch.__version__)}
    provenance = versions | {"data_hash": photos.hash(), "processes": str(place.world)}
    checkpoint = find_start(last, resume, config, provenance)
    bf16, reason = resolve_bf16(config, place.device, checkpoint.config if checkpoint else None)
    if reason and place.is_main:
        print(reason)
    config = config.changed(bf16=place.from_main(bf16))

    torch.manual_seed(config.seed)
    model = (start or SiLK(config.architecture)).to(place.device)
    if config.only_keypoints:
        model.freeze_descriptors()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.learning_rate, betas=(0.9, 0.999))
    if checkpoint is None:
        return TrainingRun(config, model, optimizer, provenance)
    model.load_state_dict(checkpoint.model)
    restore_optimizer(optimizer, checkpoint.optimizer)
    return TrainingRun(config, model, optimizer, checkpoint.provenance, checkpoint.step)


def find_start(path: Path, resume: bool, config: TrainConfig, provenance: dict[str, str]) -> Checkpoint | None:
    """The checkpoint at `path` to continue from; None for a new training.

    Raises FileExistsError rather than overwriting a training, FileNotFoundError without a checkpoint to resume, and
    ValueError for a checkpoint of other settings, images or processes.
    """
    if not resume:
        if path.exists():
            raise FileExistsError(f"'{path}' exists: add --resume to continue it, or choose another --output")
        return None
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint '{path}' to continue from: leave out --resume")
    checkpoint = load_checkpoint(path)
    _check_settings(path, checkpoint.config, config)
    if checkpoint.provenance["data_hash"] != provenance["data_hash"]:
        raise ValueError(f"the training images have changed since '{path}': start a new --output")
    if (processes := checkpoint.provenance.get("processes", "1")) != provenance["processes"]:
        raise ValueError(f"'{path}' was trained by {processes} processes: start the same number")
    return checkpoint


def _check_settings(path: Path, before: dict, config: TrainConfig) -> None:
    """Raise ValueError for settings that differ from those of the checkpoint."""
    now = config.as_dict()
    if now["bf16"] == AUTO and isinstance(before.get("bf16"), bool):
        now["bf16"] = before["bf16"]  # auto was resolved when the training began
    # The data may have moved: their contents are compared by hash.
    names = [name for name in now if name != "data" and before.get(name) != now[name]]
    if names:
        changes = ", ".join(f"{name} {before.get(name)} -> {now[name]}" for name in names)
        raise ValueError(f"'{path}' was trained with other settings: {changes}")
    if list(before["data"].values()) != list(now["data"].values()):
        raise ValueError(f"'{path}' was trained with other settings: weights of the data")
