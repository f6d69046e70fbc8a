import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.checkpoint import load_checkpoint
from training.config import TrainConfig, from_dict
from training.data import HomographyPairs
from training.distributed import Workplace, workplace
from training.loss import pair_loss
from training.model import SiLK
from training.photos import Photos
from training.train import learning_rate_factor

ROOT = Path(__file__).resolve().parents[2]
WORLD, STEPS = 2, 2
SETTINGS = {"steps": STEPS, "map_size": 20, "warmup": 0, "queries": 64, "bf16": False, "validation_photos": 1}


def test_without_torchrun_this_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with workplace("cpu") as place:
        assert (place.rank, place.world, place.device.type, place.is_main) == (0, 1, "cpu", True)
        assert not torch.distributed.is_initialized()
        assert place.from_main(True) is True


def test_a_process_takes_the_main_ones_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(values: list[bool], src: int) -> None:
        assert src == 0
        values[:] = [True]

    monkeypatch.setattr(torch.distributed, "broadcast_object_list", receive)
    assert Workplace(rank=1, world=2, device=torch.device("cpu")).from_main(False) is True


def torchrun(photos: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """A training by several processes, as a user starts it."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(WORLD)]
    training = ["-m", "training.train", "--data", str(photos), "--output", str(output), "--device", "cpu"]
    settings = [f"{name}={value}" for name, value in SETTINGS.items()]
    return subprocess.run(
        [*launcher, *training, *settings],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def parameters_of_one_process(config: TrainConfig, photos: Photos) -> dict[str, torch.Tensor]:
    """What a training on the mean loss of WORLD pairs at each step ends with."""
    torch.manual_seed(config.seed)
    model = SiLK(config.architecture).train()
    optimizer = torch.optim.Adam(model.parameters())
    pairs = HomographyPairs(photos, config, model.border, model.stride, WORLD * STEPS, config.map_size, config.seed)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = config.learning_rate * learning_rate_factor(step, config)
        own = [pairs[WORLD * step + rank][:2] for rank in range(WORLD)]
        optimizer.zero_grad()
        sum(pair_loss(model, *pair, config.queries, step, config.in_bf16).total / WORLD for pair in own).backward()
        optimizer.step()
    return dict(model.named_parameters())


def test_two_processes_train_as_one_would_on_the_mean_loss_of_their_pairs(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    done = torchrun(photos, output)
    assert done.returncode == 0, done.stderr

    assert done.stdout.count("wrote") == 1
    best, events, last = sorted(output.iterdir())
    assert (best.name, last.name) == ("best.safetensors", "last.safetensors")
    assert events.name.startswith("events.out.tfevents")
    checkpoint = load_checkpoint(last)
    assert checkpoint.step == STEPS

    config = from_dict(checkpoint.config, str(last))
    expected = parameters_of_one_process(config, Photos.from_sources({str(photos): 1}).split(1)[0])
    differences = torch.cat([(checkpoint.model[name] - value).flatten() for name, value in expected.items()])
    # Adam's first steps are as long for a gradient of rounding errors as for any other: all but a few.
    assert (differences.abs() < 0.01 * config.learning_rate).float().mean() > 0.99
