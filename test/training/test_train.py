import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._pytree import tree_flatten

from training import train as training
from training.data import HomographyPairs, data_hash
from training.loss import SiLKLoss
from training.model import SiLK, load_checkpoint
from training.train import TrainConfig, learning_rate_factor, main, train

STEPS, SAVE_EVERY = 7, 3


@pytest.fixture
def config(photos: Path) -> TrainConfig:
    return TrainConfig(data=str(photos), map_size=20, steps=STEPS, warmup=2, queries=64)


def run(config: TrainConfig, output: Path, **options: object) -> Path:
    return train(config, output, **{"workers": 0, "save_every": SAVE_EVERY} | options)


def change_loss_at(step: int, change: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `step` on, the training's loss passes through `change`."""
    original = training.pair_loss

    def changed(*arguments: object) -> SiLKLoss:
        loss = original(*arguments)
        return change(loss) if arguments[-1] >= step else loss

    monkeypatch.setattr(training, "pair_loss", changed)


def interrupt(loss: SiLKLoss) -> SiLKLoss:
    raise KeyboardInterrupt


def no_number(loss: SiLKLoss) -> SiLKLoss:
    return loss._replace(total=loss.total * float("nan"))


def interrupted(config: TrainConfig, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        change_loss_at(SAVE_EVERY + 2, interrupt, patch)
        with pytest.raises(KeyboardInterrupt):
            run(config, output)


# --- what a training writes -------------------------------------------------------------------------------------------


def test_training_writes_a_checkpoint_and_what_tensorboard_shows(config: TrainConfig, tmp_path: Path) -> None:
    path = run(config, tmp_path)
    assert path == tmp_path / "last.pt"

    model, checkpoint = load_checkpoint(str(path))
    assert not model.training
    assert model.name == config.architecture
    assert checkpoint["step"] == STEPS
    assert checkpoint["config"] == asdict(config)
    assert checkpoint["provenance"]["data_hash"] == data_hash(config.data)
    assert checkpoint["provenance"]["commit"]

    events = EventAccumulator(str(tmp_path)).Reload()
    assert {"train/total", "train/match_rate", "train/learning_rate"} <= set(events.Tags()["scalars"])


def test_training_learns_to_match(config: TrainConfig, tmp_path: Path) -> None:
    trained, _ = load_checkpoint(str(run(replace(config, steps=120, learning_rate=3e-3, warmup=10), tmp_path)))
    pairs = HomographyPairs(config.data, size=26, border=3, steps=20, recipe="homography", seed=1)

    def mean(model: SiLK, name: str) -> float:
        losses = [training.pair_loss(model.train(), *pairs[step], queries=0, step=0) for step in range(len(pairs))]
        return sum(getattr(loss, name).item() for loss in losses) / len(losses)

    assert mean(trained, "descriptor") < 0.8 * mean(SiLK(), "descriptor")
    assert mean(trained, "keypoint") < 0.95 * mean(SiLK(), "keypoint")


def test_the_same_seed_gives_the_same_network_and_another_seed_another(config: TrainConfig, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        model, _ = load_checkpoint(str(run(replace(config, steps=2, seed=seed), tmp_path / name)))
        weights.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_settings_decide_the_image_pairs(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images: list[torch.Tensor] = []
    original = training.pair_loss
    monkeypatch.setattr(training, "pair_loss", lambda *args: images.append(args[1]) or original(*args))
    run(replace(config, seed=3, weights={"cat": 0.2}, min_texture=2.0, augmentation="pose"), tmp_path)
    expected = HomographyPairs(config.data, 26, 3, STEPS, "pose", seed=3, weights={"cat": 0.2}, min_texture=2.0)
    assert all(torch.equal(image, expected[step][0]) for step, image in enumerate(images))
    assert len(images) == STEPS


def test_each_step_scores_its_own_random_subset_of_the_correspondences(config: TrainConfig) -> None:
    model = SiLK()
    pair = HomographyPairs(config.data, 26, 3, STEPS, "pose")[0]
    every = training.pair_loss(model, *pair, queries=0, step=1).descriptor
    first, again, other = (training.pair_loss(model, *pair, queries=32, step=step).descriptor for step in (1, 1, 2))
    assert len(pair[1]) > 64
    assert first == again
    assert len({first.item(), other.item(), every.item()}) == 3
    assert first.item() == pytest.approx(every.item(), rel=0.3)


@pytest.mark.parametrize("architecture", ["vggnp-1", "vggnp-4"])
def test_larger_networks_train_as_well(config: TrainConfig, tmp_path: Path, architecture: str) -> None:
    config = replace(config, architecture=architecture, augmentation="pose", steps=1)
    assert load_checkpoint(str(run(config, tmp_path)))[0].name == architecture


def test_the_learning_rate_warms_up_and_falls_to_its_final_share() -> None:
    config = TrainConfig(steps=1000, warmup=100, final_learning_rate=0.02)
    factors = [learning_rate_factor(step, config) for step in range(1001)]
    assert factors[0] == pytest.approx(0.01)
    assert max(factors) == pytest.approx(1.0)
    assert factors.index(max(factors)) in (99, 100)
    assert factors[100:] == sorted(factors[100:], reverse=True)
    assert factors[-1] == pytest.approx(0.02)


# --- interruption and resumption --------------------------------------------------------------------------------------


def test_a_resumed_training_ends_bit_for_bit_where_an_uninterrupted_one_does(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = run(config, tmp_path / "through")
    interrupted(config, tmp_path / "resumed", monkeypatch)
    assert torch.load(tmp_path / "resumed" / "last.pt")["step"] == SAVE_EVERY
    resumed = run(config, tmp_path / "resumed", resume=True)

    expected, expected_structure = tree_flatten(torch.load(through))
    actual, structure = tree_flatten(torch.load(resumed))
    assert structure == expected_structure
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_resuming_a_finished_training_changes_nothing(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, steps=2)
    before = load_checkpoint(str(run(config, tmp_path)))[0].state_dict()
    after = load_checkpoint(str(run(config, tmp_path, resume=True)))[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_resuming_without_a_checkpoint_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="leave out --resume"):
        run(config, tmp_path, resume=True)


def test_a_checkpoint_is_not_overwritten_unasked(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"weeks of work")
    with pytest.raises(FileExistsError, match="--resume"):
        run(config, tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == b"weeks of work"


@pytest.mark.parametrize("change", [{"learning_rate": 0.5}, {"steps": 9}, {"weights": {"cat": 0.5}}, {"seed": 1}])
def test_resuming_with_other_settings_is_refused(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict
) -> None:
    interrupted(config, tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="other settings"):
        run(replace(config, **change), tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops_the_training_and_spares_the_checkpoint(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_loss_at(SAVE_EVERY + 1, no_number, monkeypatch)
    with pytest.raises(FloatingPointError, match="learning-rate"):
        run(config, tmp_path)
    model, _ = load_checkpoint(str(tmp_path / "last.pt"))
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The settings that the command line hands to a training, which does not take place."""
    configs: list[TrainConfig] = []
    monkeypatch.setattr(training, "train", lambda config, output, *_: configs.append(config) or output / "last.pt")
    return configs


def test_the_command_line_defaults_are_those_of_the_configuration(received: list[TrainConfig], tmp_path: Path) -> None:
    assert main(["--data", "photos", "--output", str(tmp_path)]) == 0
    assert received == [TrainConfig(data="photos")]


def test_options_and_repeated_weights_reach_the_training(received: list[TrainConfig], tmp_path: Path) -> None:
    options = "--weight clothing=0.15 --weight walls=2 --steps 9 --map-size 30 --queries 0 --architecture vggnp-1"
    assert main(["--data", "photos", "--output", str(tmp_path), *options.split()]) == 0
    assert received[0].weights == {"clothing": 0.15, "walls": 2.0}
    assert (received[0].steps, received[0].map_size, received[0].queries) == (9, 30, 0)
    assert received[0].architecture == "vggnp-1"


@pytest.mark.parametrize("weight", ["clothing", "clothing=", "clothing=much"])
def test_a_weight_that_cannot_be_read_is_explained(weight: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--data", "photos", "--output", str(tmp_path), "--weight", weight])
    assert stop.value.code == 2
    assert f"'{weight}' is not FOLDER=WEIGHT" in capsys.readouterr().err


def test_a_missing_data_folder_is_one_readable_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    missing = str(tmp_path / "missing")
    assert main(["--data", missing, "--output", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("train: ")
    assert missing in error
    assert "Traceback" not in error
    assert error.count("\n") == 1


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def stop(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stop)
    assert main(["--data", "photos", "--output", str(tmp_path)]) == 130
    assert "no checkpoint yet" in capsys.readouterr().err
    (tmp_path / "last.pt").touch()
    assert main(["--data", "photos", "--output", str(tmp_path)]) == 130
    assert "--resume" in capsys.readouterr().err


def test_a_diverged_training_is_a_readable_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def diverge(*_: object) -> Path:
        raise FloatingPointError("lower --learning-rate")

    monkeypatch.setattr(training, "train", diverge)
    assert main(["--data", "photos", "--output", str(tmp_path)]) == 1
    assert "--learning-rate" in capsys.readouterr().err


def test_resume_on_changed_photos_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(config.data, tmp_path / "photos")
    config = replace(config, data=str(tmp_path / "photos"))
    run(config, tmp_path / "run")
    next(path for path in (tmp_path / "photos").rglob("*") if path.is_file()).unlink()
    with pytest.raises(ValueError, match="have changed"):
        run(config, tmp_path / "run", resume=True)


@pytest.mark.parametrize("change", [{"steps": 0}, {"map_size": 1}])
def test_training_of_nothing_is_refused(config: TrainConfig, tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        run(replace(config, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()
