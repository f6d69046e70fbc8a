"""The processes of a training: those that `torchrun` started, or this one alone."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Workplace:
    """Place of this process among those of a training: its rank, their number (world), and its device."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and the progress bar."""
        return self.rank == 0

    def from_main(self, value: bool) -> bool:
        """The value of the main process, in every process."""
        values = [value]
        if self.world > 1:
            distributed.broadcast_object_list(values, src=0)
        return values[0]


def is_main_process() -> bool:
    """Whether this process is alone or torchrun's first one; for what is printed outside a workplace."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def workplace(device: str | None = None) -> Iterator[Workplace]:
    """Join the process group of torchrun, if there is one. device: "cpu" or "cuda"; None selects a GPU if possible."""
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if "RANK" not in os.environ:
        yield Workplace(0, 1, torch.device(kind))
        return
    own = torch.device(kind, int(os.environ["LOCAL_RANK"])) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Workplace(distributed.get_rank(), distributed.get_world_size(), own)
        distributed.barrier()  # no process leaves while another one still communicates with it
    finally:
        gc.collect()  # frees the parallel model: its reference cycles would keep Gloo's threads alive until exit
        distributed.destroy_process_group()
