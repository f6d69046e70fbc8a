"""One process or several: what `torchrun` started, or this process alone."""

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
    """This process among all. rank: its number; world: how many there are; device: where it computes."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and the progress bar."""
        return self.rank == 0

    def from_main(self, value: bool) -> bool:
        """The main process's value, in every process: their devices may differ."""
        if self.world == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


@contextmanager
def workplace(device: str | None = None) -> Iterator[Workplace]:
    """Join the processes that torchrun started, if it did: NCCL between GPUs, Gloo between CPUs.

    device: "cpu" or "cuda"; None takes a GPU where there is one.
    """
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
        distributed.barrier()  # nobody leaves while another still talks to it
    finally:
        gc.collect()  # the parallel model, whose cycles would hold Gloo's threads until the interpreter is gone
        distributed.destroy_process_group()
