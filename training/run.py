"""A training in progress: its start or continuation, and the checkpoints and logs that it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from silk_ros.backends import processor

from .checkpoint import Checkpoint, git_commit, load_checkpoint, optimizer_tensors, restore_optimizer
from .config import AUTO, TrainConfig
from .distributed import Workplace
from .loss import SiLKLoss
from .model import SiLK
from .photos import Photos
from .validation import Validation

LAST, BEST = "last.safetensors", "best.safetensors"
PICTURES = 2  # pictures of matches logged at each validation


@dataclass
class TrainingRun:
    """Network, optimizer and settings of a training in progress."""

    config: TrainConfig  # with bf16 resolved for the device
    model: SiLK
    optimizer: torch.optim.Optimizer
    provenance: dict[str, str]  # commit, data_hash, torch, processes and steps_before at the first step
    first_step: int = 0  # to continue from

    def checkpoint(self, step: int, scores: dict[str, float] | None = None) -> Checkpoint:
        """State after `step` steps: to continue from, or, with validation scores, the network without the optimizer."""
        tensors = optimizer_tensors(self.optimizer) if scores is None else {}
        return Checkpoint(self.model.state_dict(), tensors, step, self.config.as_dict(), self.provenance, scores or {})


def start_run(
    config: TrainConfig, photos: Photos, place: Workplace, last: Path, resume: bool, start: Checkpoint | None
) -> TrainingRun:
    """A training of `start` or a random network, or the one that `last` continues. Raises what `find_start` raises."""
    provenance = {"commit": git_commit(), "torch": str(torch.__version__)}
    provenance |= {"data_hash": photos.hash(), "processes": str(place.world)}
    provenance |= {"steps_before": str(start.total_steps)} if start else {}
    checkpoint = find_start(last, resume, config, provenance)
    bf16, reason = resolve_bf16(config, place.device, checkpoint.config if checkpoint else None)
    if reason and place.is_main:
        print(reason)
    config = config.changed(bf16=place.from_main(bf16))

    given = start.network() if start else None
    torch.manual_seed(config.seed)
    model = (given or SiLK(config.architecture)).to(place.device)
    if config.only_keypoints:
        model.freeze_descriptors()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.learning_rate)
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
    _check_settings(path, checkpoint.config, config.as_dict())
    if checkpoint.provenance["data_hash"] != provenance["data_hash"]:
        raise ValueError(f"the training images have changed since '{path}': start a new --output")
    if (processes := checkpoint.provenance.get("processes", "1")) != provenance["processes"]:
        raise ValueError(f"'{path}' was trained by {processes} processes: start the same number")
    return checkpoint


def _check_settings(path: Path, before: dict, now: dict) -> None:
    """Raise ValueError for settings that differ from those of the checkpoint."""
    if now["bf16"] == AUTO and isinstance(before.get("bf16"), bool):
        now["bf16"] = before["bf16"]  # auto was resolved when the training began
    # The data may have moved: their contents are compared by hash.
    names = [name for name in now if name != "data" and before.get(name) != now[name]]
    changes = ", ".join(f"{name} {before.get(name)} -> {now[name]}" for name in names)
    if not changes and list(before["data"].values()) != list(now["data"].values()):
        changes = "weights of the data"
    if changes:
        raise ValueError(f"'{path}' was trained with other settings: {changes}")


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; emulation takes eight to ten times as long as float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # oneDNN alone also reports support for AVX-512 without bf16.
    own = processor.computes_bf16() and torch.backends.mkldnn.is_available()
    return own and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def resolve_bf16(config: TrainConfig, device: torch.device, stored: Mapping[str, Any] | None) -> tuple[bool, str]:
    """Whether to train in bfloat16, and one line with the reason; the line is empty unless `bf16` is auto.

    stored: configuration in the checkpoint to continue from, whose precision stays; None for a new training.
    """
    if config.bf16 != AUTO:
        return config.in_bf16, ""
    own = computes_in_bf16(device)
    gpu = f"this GPU ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    place = gpu or f"this processor ({processor.instruction_sets()})"
    reason = f"{place} {'computes' if own else 'does not compute'} in bfloat16"
    if stored is None:
        return own, f"bf16 auto: {str(own).lower()}, {reason}; bf16={str(not own).lower()} overrides"
    begun = bool(stored["bf16"])
    line = f"bf16 auto: {str(begun).lower()}, as this training began"
    return begun, line if begun == own else f"{line}; a new one would take {str(own).lower()}: {reason}"


class TrainingOutput:
    """Writes checkpoints and TensorBoard logs into a folder; only the main process has one."""

    def __init__(self, folder: Path, run: TrainingRun, validation: Validation | None) -> None:
        self._folder, self._run, self._validation = folder, run, validation
        self._writer = SummaryWriter(str(folder), purge_step=run.first_step)
        resumed = run.first_step > 0 and (folder / BEST).exists()
        self._best = load_checkpoint(folder / BEST).scores["loss"] if resumed else math.inf

    def log(self, step: int, loss: SiLKLoss) -> None:
        """Log the loss and the learning rate of a step."""
        for name, value in loss._asdict().items():
            self._writer.add_scalar(f"train/{name}", value.item(), step)
        self._writer.add_scalar("train/learning_rate", self._run.optimizer.param_groups[0]["lr"], step)

    def validate(self, done: int) -> None:
        """Validate the network after `done` steps, log the scores, and save the network if it is the best so far."""
        if self._validation is None:
            return
        scores = self._validation(self._run.model)
        for name, score in scores.items():
            self._writer.add_scalar(f"validation/{name}", score, done)
        for index, picture in enumerate(self._validation.pictures(self._run.model, PICTURES)):
            self._writer.add_image(f"matches/{index}", picture, done, dataformats="HWC")
        if scores["loss"] < self._best:
            self._best = scores["loss"]
            self._run.checkpoint(done, scores).save(self._folder / BEST)

    def save(self, done: int) -> None:
        """Save the checkpoint that --resume continues from, after `done` steps."""
        self._run.checkpoint(done).save(self._folder / LAST)

    def close(self) -> None:
        self._writer.close()
