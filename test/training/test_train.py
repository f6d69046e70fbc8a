import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from silk_ros.command_line import executable
from training import run as starting
from training import train as training
from training import validation
from training.checkpoint import Checkpoint, load_checkpoint
from training.config import DEFAULT_CONFIG, TrainConfig, load_config
from training.data import HomographyPairs
from training.distributed import Workplace
from training.loss import SiLKLoss
from training.model import SiLK
from training.photos import Photos
from training.progress import WINDOW, TrainingBar
from training.stopping import AGREE_EVERY, Stopped, StopRequest
from training.train import learning_rate_factor, main, train

ROOT = Path(__file__).resolve().parents[2]
STEPS, SAVE_EVERY, VALIDATION_EVERY = 7, 3, 2
PYTHON = executable(Path(sys.executable).name)
HERE = Workplace(rank=0, world=1, device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", SAVE_EVERY)
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    monkeypatch.setattr(validation, "VIEW_SIZE", 30)


@pytest.fixture
def validated(config: TrainConfig) -> TrainConfig:
    return config.changed(validation_photos=1, validation_every=VALIDATION_EVERY)


def run(config: TrainConfig, output: Path, **options: object) -> Path:
    return train(config, Photos.from_sources(config.data), output, HERE, **options)


def tensors(path: Path) -> dict[str, Tensor]:
    """Everything that a checkpoint holds of the network and the optimizer."""
    checkpoint = load_checkpoint(path)
    return checkpoint.model | {f"optimizer.{name}": tensor for name, tensor in checkpoint.optimizer.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def change_loss_at(step: int, change: Callable[[SiLKLoss], SiLKLoss], monkeypatch: pytest.MonkeyPatch) -> None:
    """From `step` on, the training's loss passes through `change`."""
    original = training.pair_loss

    def changed(*arguments: object) -> SiLKLoss:
        loss = original(*arguments)
        return change(loss) if arguments[4] >= step else loss

    monkeypatch.setattr(training, "pair_loss", changed)


def interrupt(loss: SiLKLoss) -> SiLKLoss:
    raise KeyboardInterrupt


def no_number(loss: SiLKLoss) -> SiLKLoss:
    return loss._replace(total=loss.total * float("nan"))


def interrupted(config: TrainConfig, output: Path, monkeypatch: pytest.MonkeyPatch, at: int = SAVE_EVERY + 2) -> None:
    with monkeypatch.context() as patch:
        change_loss_at(at, interrupt, patch)
        with pytest.raises(KeyboardInterrupt):
            run(config, output)


def give_scores(monkeypatch: pytest.MonkeyPatch, *losses: float) -> None:
    """The validations of a training find these, one after the other."""
    scores: Iterator[float] = iter(losses)
    monkeypatch.setattr(training.Validation, "__call__", lambda *_: {"loss": next(scores), "f1": 0.1})


# --- what a training writes -------------------------------------------------------------------------------------------


def test_a_training_writes_its_last_and_its_best_weights(validated: TrainConfig, tmp_path: Path) -> None:
    assert run(validated, tmp_path / "run") == tmp_path / "run" / "last.safetensors"
    last, best = (load_checkpoint(tmp_path / "run" / f"{name}.safetensors") for name in ("last", "best"))
    data_hash = Photos.from_sources(validated.data).split(1)[0].hash()
    for checkpoint in (last, best):
        assert checkpoint.network().name == validated.architecture
        assert checkpoint.config == validated.as_dict()
        assert checkpoint.provenance["data_hash"] == data_hash
        assert checkpoint.provenance["commit"]
        assert checkpoint.provenance["torch"] == torch.__version__
    assert last.step == STEPS and last.optimizer
    assert best.step in (2, 4, 6, 7) and not best.optimizer
    assert 0 <= best.scores["f1"] <= 1


def test_without_validation_there_is_no_best_network(config: TrainConfig, tmp_path: Path) -> None:
    run(config, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == ["last.safetensors"]


def test_tensorboard_shows_the_loss_the_scores_and_matches(
    validated: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(validated, tmp_path, monkeypatch)
    run(validated, tmp_path, resume=True)
    events = EventAccumulator(str(tmp_path)).Reload()
    names = {
        "train/total",
        "train/match_rate",
        "train/learning_rate",
        "validation/f1",
        "validation/homography_accuracy",
    }
    assert names <= set(events.Tags()["scalars"])
    assert {"matches/0", "matches/1"} <= set(events.Tags()["images"])
    assert [event.step for event in events.Scalars("train/total")] == list(range(STEPS)), "no step twice"
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    expected = [validated.learning_rate * learning_rate_factor(step, validated) for step in range(STEPS)]
    assert rates == pytest.approx(expected)
    assert {event.step for event in events.Scalars("validation/f1")} == {2, 4, 6, 7}


def test_training_learns_to_match(config: TrainConfig, tmp_path: Path) -> None:
    config = config.changed(steps=120, learning_rate=3e-3, warmup=10)
    trained = load_checkpoint(run(config, tmp_path)).network()
    pairs = HomographyPairs(Photos.from_sources(config.data), config, 3, 1, 20, config.map_size, seed=1)

    def mean(model: SiLK, name: str) -> float:
        losses = [training.pair_loss(model.train(), *pairs[step][:2], 0, step, False) for step in range(len(pairs))]
        return sum(getattr(loss, name).item() for loss in losses) / len(losses)

    assert mean(trained, "descriptor") < 0.8 * mean(SiLK(), "descriptor")
    assert mean(trained, "keypoint") < 0.95 * mean(SiLK(), "keypoint")


def test_the_same_seed_gives_the_same_network_and_another_seed_another(config: TrainConfig, tmp_path: Path) -> None:
    a, b, c = (
        tensors(run(config.changed(steps=2, seed=seed), tmp_path / name))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert same(a, b)
    assert not same(a, c)


def test_the_settings_decide_the_image_pairs(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images: list[Tensor] = []
    original = training.pair_loss
    monkeypatch.setattr(training, "pair_loss", lambda *args: images.append(args[1]) or original(*args))
    config = config.changed(seed=3, min_texture=0.9, augmentation="pose")
    run(config, tmp_path)
    expected = HomographyPairs(Photos.from_sources(config.data), config, 3, 1, STEPS, 20, seed=3)
    assert len(images) == STEPS
    assert all(torch.equal(image, expected[step][0]) for step, image in enumerate(images))


def test_worker_processes_change_nothing(config: TrainConfig, tmp_path: Path) -> None:
    config = config.changed(steps=3)
    assert same(tensors(run(config, tmp_path / "a", workers=2)), tensors(run(config, tmp_path / "b")))


@pytest.mark.parametrize("architecture", ["vggnp-1", "vggnp-4"])
def test_larger_networks_train_as_well(config: TrainConfig, tmp_path: Path, architecture: str) -> None:
    config = config.changed(architecture=architecture, augmentation="pose", steps=1, map_size=12)
    assert load_checkpoint(run(config, tmp_path)).network().name == architecture


def test_a_training_can_begin_with_a_given_network(config: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = SiLK()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    config = config.changed(steps=1, learning_rate=1e-6, warmup=0)
    start = Checkpoint(network.state_dict(), {}, 5, config.as_dict(), {"steps_before": "30"}, {})
    trained = load_checkpoint(run(config, tmp_path / "given", start=start))
    given = trained.model
    assert (trained.step, trained.total_steps) == (1, 36)
    random = load_checkpoint(run(config, tmp_path / "random")).model
    assert all((given[name] - value).abs().max() < 2e-6 for name, value in before.items())
    assert (random["backbone.0.0.weight"] - before["backbone.0.0.weight"]).abs().max() > 0.01


def test_the_learning_rate_warms_up_and_falls_to_its_final_share(config: TrainConfig) -> None:
    config = config.changed(steps=1000, warmup=100, final_learning_rate=0.02)
    factors = [learning_rate_factor(step, config) for step in range(1001)]
    assert factors[0] == pytest.approx(0.01)
    assert max(factors) == pytest.approx(1.0)
    assert factors.index(max(factors)) in (99, 100)
    assert factors[100:] == sorted(factors[100:], reverse=True)
    assert factors[-1] == pytest.approx(0.02)


def test_the_learning_rate_can_stay_constant(config: TrainConfig) -> None:
    config = config.changed(warmup=0, final_learning_rate=1.0)
    assert {learning_rate_factor(step, config) for step in range(STEPS + 1)} == {1.0}


# --- validation -------------------------------------------------------------------------------------------------------


def test_the_best_network_is_the_one_that_validated_best(
    validated: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_scores(monkeypatch, 8.0, 2.0, 5.0, 2.0)
    states: dict[int, dict[str, Tensor]] = {}
    original = Checkpoint.save

    def save(checkpoint: Checkpoint, path: Path) -> None:
        states[checkpoint.step] = {name: tensor.clone() for name, tensor in checkpoint.model.items()}
        original(checkpoint, path)

    monkeypatch.setattr(Checkpoint, "save", save)
    run(validated, tmp_path)
    best = load_checkpoint(tmp_path / "best.safetensors")
    assert best.step == 4, "the first of equals"
    assert best.scores == {"loss": 2.0, "f1": 0.1}
    assert same(best.model, states[4])
    assert not same(best.model, states[STEPS])


def test_a_resumed_training_remembers_how_good_the_best_was(
    validated: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_scores(monkeypatch, 3.0, 7.0)
    interrupted(validated, tmp_path, monkeypatch)
    give_scores(monkeypatch, 7.0, 4.0, 5.0)
    run(validated, tmp_path, resume=True)
    assert load_checkpoint(tmp_path / "best.safetensors").step == 2


def test_validation_does_not_change_the_training(validated: TrainConfig, tmp_path: Path) -> None:
    often = run(validated.changed(validation_every=1), tmp_path / "often")
    once = run(validated.changed(validation_every=1000), tmp_path / "once")
    assert same(tensors(often), tensors(once))


def test_held_out_photos_are_not_trained_on(
    validated: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    original = training.make_loader
    monkeypatch.setattr(
        training, "make_loader", lambda pairs, *rest: seen.append(pairs.photos.names) or original(pairs, *rest)
    )
    run(validated, tmp_path)
    photos, held_out = Photos.from_sources(validated.data).split(1)
    assert seen == [photos.names]
    assert not set(photos.names) & set(held_out.names)


# --- interruption and resumption --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [SAVE_EVERY, SAVE_EVERY + 2])
def test_a_resumed_training_ends_bit_for_bit_where_an_uninterrupted_one_does(
    validated: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Also where the interruption lost steps after the last checkpoint, and a validation among them."""
    run(validated, tmp_path / "through")
    interrupted(validated, tmp_path / "resumed", monkeypatch, at)
    assert load_checkpoint(tmp_path / "resumed" / "last.safetensors").step == SAVE_EVERY
    run(validated, tmp_path / "resumed", resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        expected, actual = (load_checkpoint(tmp_path / output / name) for output in ("through", "resumed"))
        assert same(tensors(tmp_path / "resumed" / name), tensors(tmp_path / "through" / name))
        assert (actual.step, actual.config, actual.scores) == (expected.step, expected.config, expected.scores)
        assert actual.provenance == expected.provenance


def test_a_training_goes_on_where_the_data_lie_elsewhere(
    validated: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = run(validated, tmp_path / "through")
    interrupted(validated, tmp_path / "moved", monkeypatch)
    (photos,) = validated.data
    elsewhere = shutil.copytree(photos, tmp_path / "deep" / "elsewhere")
    moved = run(validated.changed(data={str(elsewhere): 1}), tmp_path / "moved", resume=True)
    assert same(tensors(moved), tensors(through))


def test_resuming_a_finished_training_changes_nothing(config: TrainConfig, tmp_path: Path) -> None:
    config = config.changed(steps=2)
    before = tensors(run(config, tmp_path))
    assert same(tensors(run(config, tmp_path, resume=True)), before)


def test_resuming_without_a_checkpoint_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="leave out --resume"):
        run(config, tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_not_overwritten_unasked(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"weeks of work")
    with pytest.raises(FileExistsError, match="--resume"):
        run(config, tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == b"weeks of work"


@pytest.mark.parametrize("change", [{"learning_rate": 0.5}, {"steps": 9}, {"seed": 1}, {"scale": [0.7, 0.9]}])
def test_resuming_with_other_settings_is_refused(config: TrainConfig, tmp_path: Path, change: dict) -> None:
    run(config.changed(steps=1), tmp_path)
    (name,) = change
    with pytest.raises(ValueError, match=rf"other settings: .*{name} "):
        run(config.changed(**{"steps": 1} | change), tmp_path, resume=True)


def test_resuming_with_other_weights_of_the_data_is_refused(config: TrainConfig, photos: Path, tmp_path: Path) -> None:
    def weighted(weight: float) -> TrainConfig:
        return config.changed(steps=1, data={str(photos / "cat"): 1, str(photos / "wall"): weight})

    run(weighted(1), tmp_path)
    with pytest.raises(ValueError, match="weights of the data"):
        run(weighted(0.5), tmp_path, resume=True)


def test_resuming_on_changed_photos_is_refused(config: TrainConfig, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    config = config.changed(data={str(tmp_path / "photos"): 1}, steps=1)
    run(config, tmp_path / "run")
    (tmp_path / "photos" / "cat" / "photo.png").unlink()
    with pytest.raises(ValueError, match="have changed"):
        run(config, tmp_path / "run", resume=True)


def test_a_loss_that_is_not_finite_stops_the_training_and_spares_the_checkpoint(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LOG_EVERY", 1000)  # it is found before it would be saved all the same
    change_loss_at(SAVE_EVERY + 1, no_number, monkeypatch)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        run(config, tmp_path)
    checkpoint = load_checkpoint(tmp_path / "last.safetensors")
    assert checkpoint.step == SAVE_EVERY
    assert all(tensor.isfinite().all() for tensor in tensors(tmp_path / "last.safetensors").values())


def test_a_training_without_enough_photos_to_validate_by_starts_nothing(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="validation_photos"):
        run(config.changed(validation_photos=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- bfloat16 ---------------------------------------------------------------------------------------------------------


def on_a_machine_that(computes_in_bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "computes_in_bf16", lambda device: computes_in_bf16)


@pytest.mark.parametrize("own", [True, False])
def test_auto_trains_as_the_device_computes_says_so_and_is_stored_resolved(
    validated: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, own: bool
) -> None:
    expected = tensors(run(validated.changed(bf16=own), tmp_path / "explicit"))
    assert "bf16" not in capsys.readouterr().out
    on_a_machine_that(own, monkeypatch)
    last = run(validated.changed(bf16="auto"), tmp_path / "auto")
    assert same(tensors(last), expected)
    for name in ("last.safetensors", "best.safetensors"):
        assert load_checkpoint(tmp_path / "auto" / name).config == validated.changed(bf16=own).as_dict()
    printed = capsys.readouterr().out
    assert printed.startswith(f"bf16 auto: {str(own).lower()}, this processor (") and printed.count("\n") == 1


@pytest.mark.parametrize("began", [True, False])
@pytest.mark.parametrize("setting", ["auto", None])
def test_a_training_goes_on_as_it_began_on_a_machine_that_would_choose_otherwise(
    validated: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    began: bool,
    setting: str | None,
) -> None:
    """Also where it began with an explicit value, as every training did before there was auto."""
    through = tensors(run(validated.changed(bf16=began), tmp_path / "through"))
    on_a_machine_that(began, monkeypatch)
    interrupted(validated.changed(bf16=setting or began), tmp_path / "moved", monkeypatch)
    capsys.readouterr()
    on_a_machine_that(not began, monkeypatch)
    last = run(validated.changed(bf16="auto"), tmp_path / "moved", resume=True)
    assert same(tensors(last), through)
    assert load_checkpoint(last).config["bf16"] is began
    value, other = str(began).lower(), str(not began).lower()
    assert f"bf16 auto: {value}, as this training began; a new one would take {other}" in capsys.readouterr().out


def test_resuming_with_another_explicit_bf16_is_refused(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_machine_that(False, monkeypatch)
    run(config.changed(steps=1, bf16="auto"), tmp_path)
    with pytest.raises(ValueError, match="other settings: bf16 False -> True"):
        run(config.changed(steps=1, bf16=True), tmp_path, resume=True)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What the command line hands to a training, which does not take place."""
    calls: list[tuple] = []
    monkeypatch.setattr(training, "train", lambda *arguments: calls.append(arguments) or arguments[2] / "last")
    return calls


def test_the_command_line_trains_the_default_configuration(
    received: list[tuple], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["--data", str(photos), "--output", str(tmp_path), "--device", "cpu"]) == 0
    ((config, opened, output, place, resume, _, start),) = received
    assert start is None
    assert config == load_config(DEFAULT_CONFIG).changed(data={str(photos): 1})
    assert opened.names == Photos.from_sources({str(photos): 1}).names
    assert (output, place, resume) == (tmp_path, HERE, False)
    wrote, logs, following = capsys.readouterr().out.splitlines()
    assert wrote.startswith(f"wrote {tmp_path / 'last'}, ")
    assert logs == f"logs: {executable('tensorboard')} --logdir {tmp_path}"
    assert following == f"next: {PYTHON} -m training.export {tmp_path / 'last'} {tmp_path / 'silk.onnx'}"


def test_options_and_settings_reach_the_training(received: list[tuple], photos: Path, tmp_path: Path) -> None:
    data = ["--data", f"{photos / 'cat'}=0.15", str(photos / "wall")]
    options = ["--output", str(tmp_path), "--resume", "--workers", "3", "--device", "cpu", "--config", "vggnp_1"]
    settings = ["steps=9", "learning_rate=1e-3", "scale=[0.7, 0.8]", "bf16=no", "augmentation=pose"]
    assert main([*data, *options, *settings]) == 0
    ((config, opened, _, _, resume, workers, _),) = received
    assert config.data == {str(photos / "cat"): 0.15, str(photos / "wall"): 1.0}
    assert opened.probability.tolist() == pytest.approx([0.15 / 1.15, 1 / 1.15])
    assert (config.steps, config.learning_rate, config.scale) == (9, 1e-3, (0.7, 0.8))
    assert (config.bf16, config.augmentation, config.architecture) == (False, "pose", "vggnp-1")
    assert (resume, workers) == (True, 3)


def test_a_configuration_of_ones_own_brings_its_data(received: list[tuple], photos: Path, tmp_path: Path) -> None:
    text = DEFAULT_CONFIG.read_text(encoding="utf-8").replace("{photos: 1.0}", f"{{'{photos}': 2}}")
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    assert main(["--config", str(tmp_path / "own.yaml"), "--output", str(tmp_path), "--device", "cpu"]) == 0
    assert received[0][0].data == {str(photos): 2.0}


def test_the_command_line_trains_and_goes_on(photos: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(photos), "--output", str(tmp_path), "--device", "cpu"]
    settings = ["steps=2", "map_size=16", "bf16=false", "validation_photos=0"]
    assert main([*arguments, *settings]) == 0
    assert main([*arguments, "--resume", *settings]) == 0
    assert main([*arguments, *settings]) == 1, "it would overwrite"


def test_settings_that_would_be_taken_for_data_are_told_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path), "--data", "photos", "steps=20"])
    assert "'steps=20' stands among the data: put settings behind --output OUTPUT" in capsys.readouterr().err


@pytest.mark.parametrize("weight", ["clothing=", "clothing=much"])
def test_a_weight_that_cannot_be_read_is_explained(weight: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--data", weight, "--output", str(tmp_path)])
    assert stop.value.code == 2
    assert f"'{weight}' is not PATH or PATH=WEIGHT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "missing/photos"], "missing/photos"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["steps=many"], "steps must be a valid integer"),
        (["stepps=3"], "unknown setting 'stepps'"),
        (["steps"], "'steps' is not NAME=VALUE"),
        (["augmentation=sepia"], "unknown augmentation 'sepia'"),
        (["architecture=vggnp-9"], "unknown architecture 'vggnp-9'"),
        (["zoom=2"], "zoom must be less than or equal to 1, not 2"),
        (["--resume"], "leave out --resume"),
    ],
)
def test_a_mistake_is_one_readable_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    given = [] if "--data" in arguments else ["--data", str(photos)]
    output = ["--output", str(tmp_path / "run"), "--device", "cpu", "validation_photos=0"]
    assert main([*given, *output, *arguments]) == 1
    *said, error = capsys.readouterr().err.splitlines()
    assert error.startswith("train: ") and message in error
    assert all(line.startswith(f"'{photos}': ") for line in said)  # what is read


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def stop(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stop)
    arguments = ["--data", str(photos), "--output", str(tmp_path), "--device", "cpu"]
    assert main(arguments) == 130
    assert "no checkpoint yet" in capsys.readouterr().err
    Checkpoint({}, {}, 3, {}, {}, {}).save(tmp_path / "last.safetensors")
    assert main(arguments) == 130
    error = capsys.readouterr().err
    assert "after 3 steps" in error and f"next: {PYTHON} -m training.train {' '.join(arguments)} --resume" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_training_after_a_whole_step(
    number: int, validated: TrainConfig, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)

    def send(loss: SiLKLoss) -> SiLKLoss:
        if signal.getsignal(number) != before:
            os.kill(os.getpid(), number)
        return loss

    with monkeypatch.context() as patch:
        change_loss_at(4, send, patch)
        with pytest.raises(Stopped) as stopped:
            run(validated, tmp_path / "resumed")
    assert (stopped.value.status, stopped.value.steps) == (128 + number, 5)
    assert signal.getsignal(number) == before
    assert load_checkpoint(tmp_path / "resumed" / "last.safetensors").step == 5
    resumed, whole = run(validated, tmp_path / "resumed", resume=True), run(validated, tmp_path / "whole")
    assert same(tensors(resumed), tensors(whole))


def test_a_stopped_program_says_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    """As a user stops it, or a machine that shuts down."""
    output = tmp_path / "run"
    arguments = ["--data", str(photos), "--output", str(output), "--device", "cpu"]
    settings = ["map_size=16", "bf16=false", "validation_photos=0"]
    command = [sys.executable, "-m", "training.train", *arguments, *settings]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not (output / "last.safetensors").exists():
            time.sleep(0.1)
        process.terminate()
        error = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    assert process.returncode == 143
    steps = load_checkpoint(output / "last.safetensors").step
    assert f"stopped: wrote {output / 'last.safetensors'}, after {steps} steps" in error
    assert error.rstrip().endswith(f"next: {PYTHON} -m training.train {' '.join([*arguments, *settings])} --resume")


def test_the_bar_shows_the_mean_of_the_last_losses(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = TrainingBar(range(60), "network", 0, 60, True)
    bar._bar.mininterval = 0
    for step in bar:
        bar.add(SiLKLoss(*(torch.tensor(float(step)) for _ in SiLKLoss._fields)))
    last = sum(range(60 - WINDOW, 60)) / WINDOW
    assert f"mean loss {last:.2f}" in capsys.readouterr().err


def test_several_processes_stop_after_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workplace, "from_main", lambda place, value: True)
    request = StopRequest(Workplace(rank=1, world=2, device=torch.device("cpu")))
    assert [step for step in range(1, 31) if request.after(step)] == [AGREE_EVERY, 2 * AGREE_EVERY, 3 * AGREE_EVERY]


def test_a_diverged_training_is_a_readable_error(
    monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    change_loss_at(0, no_number, monkeypatch)
    settings = ["steps=2", "map_size=16", "bf16=false", "validation_photos=0"]
    assert main(["--data", str(photos), "--output", str(tmp_path), "--device", "cpu", *settings]) == 1
    assert "lower learning_rate" in capsys.readouterr().err


# --- the keypoint head alone ------------------------------------------------------------------------------------------


def test_the_keypoint_head_can_be_trained_on_descriptors_as_they_are(
    config: TrainConfig, tmp_path: Path, random_network: Callable[[str], SiLK]
) -> None:
    start = Checkpoint(random_network("vggnp-mu").state_dict(), {}, 5, config.as_dict(), {}, {})
    before = {name: tensor.clone() for name, tensor in start.model.items()}
    after = load_checkpoint(run(config.changed(only_keypoints=True), tmp_path, start=start)).model
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"keypoint_head"}


def test_training_the_keypoint_head_wants_a_start(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = next(iter(config.data))
    assert main(["--config", "keypoints", "--data", data, "--output", str(tmp_path / "run")]) == 1
    assert "--start" in capsys.readouterr().err


def test_a_start_of_another_architecture_is_refused(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = run(config.changed(steps=1), tmp_path / "first")
    data = next(iter(config.data))
    arguments = ["--start", str(path), "--data", data, "--output", str(tmp_path / "second"), "architecture=vggnp-1"]
    assert main(arguments) == 1
    assert "is a vggnp-mu, not a vggnp-1" in capsys.readouterr().err
