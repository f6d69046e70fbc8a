import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from training import checkpoint as checkpoints
from training.checkpoint import Checkpoint, load_checkpoint, optimizer_tensors, restore_optimizer
from training.config import TrainConfig
from training.model import SiLK


def trained(model: nn.Module) -> torch.optim.Adam:
    """The optimizer of a model that has taken two steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(2):
        logits, descriptors = model(torch.rand(1, 1, 12, 12))
        optimizer.zero_grad()
        (logits.square().mean() + descriptors.square().mean()).backward()
        optimizer.step()
    return optimizer


@pytest.fixture
def checkpoint(config: TrainConfig) -> Checkpoint:
    torch.manual_seed(0)
    model = SiLK()
    optimizer = trained(model)
    provenance, scores = {"commit": "abc-dirty", "data_hash": "0123"}, {"f1": 0.5, "match_rate": 1 / 3}
    return Checkpoint(model.state_dict(), optimizer_tensors(optimizer), 7, config.as_dict(), provenance, scores)


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        assert torch.equal(actual[name], tensor), name


# --- round trips ------------------------------------------------------------------------------------------------------


def test_what_was_saved_comes_back(checkpoint: Checkpoint, config: TrainConfig, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors")
    back = load_checkpoint(tmp_path / "last.safetensors")
    assert_same(back.model, checkpoint.model)
    assert_same(back.optimizer, checkpoint.optimizer)
    assert (back.step, back.config) == (7, config.as_dict())
    assert (back.provenance, back.scores) == (checkpoint.provenance, checkpoint.scores)


def test_weights_alone_need_no_optimizer(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.optimizer = {}
    checkpoint.save(tmp_path / "best.safetensors")
    assert load_checkpoint(tmp_path / "best.safetensors").optimizer == {}


def test_weights_that_lie_otherwise_in_memory_can_be_saved(checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = SiLK().to(memory_format=torch.channels_last)
    checkpoint.model = model.state_dict()
    checkpoint.save(tmp_path / "last.safetensors")
    assert_same(load_checkpoint(tmp_path / "last.safetensors").model, model.state_dict())


@pytest.mark.parametrize("architecture", ["vggnp-mu", "vggnp-1"])
def test_the_network_comes_back_ready_to_use(checkpoint: Checkpoint, tmp_path: Path, architecture: str) -> None:
    model = SiLK(architecture)
    checkpoint.model, checkpoint.config = model.state_dict(), checkpoint.config | {"architecture": architecture}
    checkpoint.save(tmp_path / "best.safetensors")
    network = load_checkpoint(tmp_path / "best.safetensors").network()
    assert (network.name, network.training) == (architecture, False)
    image = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(image)[1], model.eval()(image)[1])


def test_an_optimizer_goes_on_as_if_nothing_had_happened() -> None:
    torch.manual_seed(0)
    model = SiLK()
    optimizer = trained(model)
    twin = SiLK()
    twin.load_state_dict(model.state_dict())
    other = torch.optim.Adam(twin.parameters(), lr=1e-3)
    restore_optimizer(other, {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()})
    image = torch.rand(1, 1, 12, 12)
    for network, its_optimizer in ((model, optimizer), (twin, other)):
        its_optimizer.zero_grad()
        network(image)[1].square().mean().backward()
        its_optimizer.step()
    assert_same(twin.state_dict(), model.state_dict())


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_plain_safetensors_with_readable_metadata(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors")
    with safe_open(str(tmp_path / "last.safetensors"), framework="np") as file:
        names, metadata = set(file.keys()), file.metadata()
        weight = file.get_tensor("model.descriptor_head.1.weight")
    assert {name.split(".")[0] for name in names} == {"model", "optimizer"}
    assert weight.tolist() == checkpoint.model["descriptor_head.1.weight"].tolist()
    assert metadata["step"] == "7"
    assert json.loads(metadata["config"]) == checkpoint.config
    assert json.loads(metadata["provenance"]) == checkpoint.provenance


@pytest.mark.parametrize("failure", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path)
    before = path.read_bytes()

    def full(file: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(type(failure)):
        checkpoint.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple:
        return print, ("this must never be seen",)


def pickled(path: Path, checkpoint: Checkpoint) -> None:
    path.write_bytes(pickle.dumps(Trap()))


def torch_saved(path: Path, checkpoint: Checkpoint) -> None:
    torch.save({"model": checkpoint.model}, path)


def truncated(path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.save(path)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_in_the_head(path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.save(path)
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path, checkpoint: Checkpoint) -> None:
    path.touch()


def folder(path: Path, checkpoint: Checkpoint) -> None:
    path.mkdir()


def foreign(path: Path, checkpoint: Checkpoint) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def of_a_later_version(path: Path, checkpoint: Checkpoint) -> None:
    save_file({"model.weight": torch.zeros(3)}, path, {"format": "silk_ros checkpoint 2", "step": "1"})


def without_its_metadata(path: Path, checkpoint: Checkpoint) -> None:
    save_file({"model.weight": torch.zeros(3)}, path, {"format": checkpoints.FORMAT})


@pytest.mark.parametrize(
    "make",
    [
        pickled,
        torch_saved,
        truncated,
        truncated_in_the_head,
        empty,
        folder,
        foreign,
        of_a_later_version,
        without_its_metadata,
    ],
)
def test_another_file_is_refused_in_one_line(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture, make: object
) -> None:
    path = tmp_path / "odd.safetensors"
    make(path, checkpoint)
    with pytest.raises(ValueError, match=r"odd\.safetensors' is not a checkpoint of training\.train.*last") as refusal:
        load_checkpoint(path)
    assert "\n" not in str(refusal.value)
    assert "never" not in capsys.readouterr().out


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 'nowhere\.safetensors'.*last\.safetensors"):
        load_checkpoint("nowhere.safetensors")
