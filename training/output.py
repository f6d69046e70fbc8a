"""The --output folder of a training: its checkpoints and TensorBoard logs."""

from __future__ import annotations

import math
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from .checkpoint import load_checkpoint
from .loss import SiLKLoss
from .run import TrainingRun
from .validation import Validation

LAST, BEST = "last.safetensors", "best.safetensors"
PICTURES = 2  # pictures of matches logged at each validation


class TrainingOutput:
    """Writes what a training produces; only the main process has one."""

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
