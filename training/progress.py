"""The progress bar of a training."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .loss import SiLKLoss

WINDOW = 50  # steps of the moving means


class TrainingBar:
    """A bar over the steps of a training, with the means of the loss and the match rate over the last WINDOW steps."""

    def __init__(self, pairs: Iterable[Any], name: str, first_step: int, steps: int, shown: bool) -> None:
        self._bar = tqdm(pairs, name, steps, initial=first_step, unit="step", disable=not shown)
        self._values: deque[Tensor] = deque(maxlen=WINDOW)
        self._next_refresh = 0.0

    def __iter__(self) -> Iterator[Any]:
        return iter(self._bar)

    def add(self, loss: SiLKLoss) -> None:
        """Take the loss of a step into the means. They are read at most ten times a second, as a GPU has to wait."""
        self._values.append(torch.stack([loss.total.detach(), loss.match_rate.detach()]))
        if not self._bar.disable and (now := time.monotonic()) >= self._next_refresh:
            self._next_refresh = now + self._bar.mininterval
            total, match_rate = torch.stack(list(self._values)).mean(dim=0).tolist()
            self._bar.set_postfix_str(f"mean loss {total:.2f}, matched {match_rate:.1%}", refresh=False)
