from pathlib import Path

import pytest
import torch

from training.average import average, main
from training.checkpoint import Checkpoint, load_checkpoint
from training.config import TrainConfig
from training.model import SiLK


def saved(path: Path, config: TrainConfig, value: float) -> Path:
    """A checkpoint all of whose weights have one value."""
    model = {name: torch.full_like(tensor, value) for name, tensor in SiLK(config.architecture).state_dict().items()}
    Checkpoint(model, {"0.step": torch.ones(1)}, 9, config.as_dict(), {"commit": "abc"}, {"f1": 0.5}).save(path)
    return path


def test_the_mean_is_weighted(tmp_path: Path, config: TrainConfig) -> None:
    paths = [saved(tmp_path / "a", config, 1.0), saved(tmp_path / "b", config.changed(augmentation="pose"), 4.0)]
    output = tmp_path / "average.safetensors"
    assert main([f"{paths[0]}=2", str(paths[1]), "--output", str(output)]) == 0
    mean = load_checkpoint(output)
    assert all((tensor == 2).all() for tensor in mean.model.values())  # (2 * 1 + 4) / 3
    assert (mean.step, mean.optimizer, mean.scores) == (9, {}, {})
    assert mean.provenance["commit"] == "abc"
    first, second = mean.provenance["average"].split("; ")
    assert first.startswith(f"2 x {config.augmentation}, 9 steps, commit abc, sha256 ") and second.startswith(
        "1 x pose"
    )
    mean.network()  # loads


def test_networks_of_other_shapes_have_no_mean(tmp_path: Path, config: TrainConfig) -> None:
    paths = [saved(tmp_path / "a", config, 1), saved(tmp_path / "b", config.changed(architecture="vggnp-1"), 1)]
    with pytest.raises(ValueError, match="a vggnp-1, "):
        average(paths, [1, 1])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("a=x", "'a=x' is not PATH or PATH=WEIGHT"),
        ("a=0", "is not a weight"),
        ("a=-1", "is not a weight"),
        ("a=inf", "is not a weight"),
    ],
)
def test_weights_are_checked(part: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([part, "--output", "out"])
    assert message in capsys.readouterr().err


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 1
    assert "average: no checkpoint" in capsys.readouterr().err
