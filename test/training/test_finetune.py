from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
import skimage.data

from silk_ros import Extractor
from training import finetune as module
from training import run as starting
from training.checkpoint import Checkpoint, load_checkpoint
from training.config import load_config
from training.finetune import ONNX_NAME, Quality, main

SETTINGS = ["steps=3", "map_size=20", "warmup=1", "bf16=false"]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A camera that pans over a photograph."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(20):
        cv2.imwrite(str(folder / f"{index:02}.png"), skimage.data.camera()[100:180, 100 + 4 * index : 200 + 4 * index])
    return folder


@pytest.fixture
def weights(tmp_path: Path, random_network: Callable) -> Path:
    path = tmp_path / "start.safetensors"
    config = load_config(Path("vggnp_mu")).as_dict()
    Checkpoint(random_network("vggnp-mu").state_dict(), {}, 5, config, {"commit": "c", "data_hash": "d"}, {}).save(path)
    return path


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Quality]]:
    """Qualities that the judging gives, to be set by a test."""
    qualities: dict[str, Quality] = {}
    monkeypatch.setattr(module, "matching_quality", lambda extractor, pairs, label: qualities[label.split()[-1]])
    return qualities


def command(frames: Path, weights: Path, output: Path, *options: str) -> list[str]:
    return [str(frames), *options, "--weights", str(weights), "--hold-out", "0.5", "--output", str(output), *SETTINGS]


def test_a_network_that_got_better_is_exported_for_the_node(
    frames: Path, weights: Path, tmp_path: Path, judged: dict, capsys: pytest.CaptureFixture
) -> None:
    judged |= {"before": Quality(100, 50), "after": Quality(90, 60)}
    assert main(command(frames, weights, tmp_path / "run")) == 0
    features = Extractor.load(tmp_path / "run" / ONNX_NAME, max_keypoints=20)(skimage.data.camera()[:60, :80])
    assert len(features) == 20
    printed = capsys.readouterr().out
    assert "50.0%" in printed and "66.7%" in printed and "model_path:=" in printed
    assert {path.name for path in (tmp_path / "run").iterdir() if path.suffix in (".onnx", "")} == {ONNX_NAME}


def test_training_starts_from_the_weights_and_changes_them(
    frames: Path, weights: Path, tmp_path: Path, judged: dict
) -> None:
    judged |= {"before": Quality(1, 1), "after": Quality(1, 1)}
    assert main(command(frames, weights, tmp_path / "run")) == 0
    before, after = (load_checkpoint(path).model for path in (weights, tmp_path / "run" / "last.safetensors"))
    changes = [(before[name] - after[name]).abs().max().item() for name in before if name.endswith("weight")]
    assert 0 < max(changes) < 0.01


@pytest.mark.parametrize("own", [True, False])
def test_it_computes_as_the_device_does_and_not_as_the_weights_were_trained(
    frames: Path,
    weights: Path,
    tmp_path: Path,
    judged: dict,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    own: bool,
) -> None:
    start = load_checkpoint(weights)
    start.config["bf16"] = not own
    start.save(weights)
    judged |= {"before": Quality(1, 1), "after": Quality(1, 1)}
    monkeypatch.setattr(starting, "computes_in_bf16", lambda device: own)
    arguments = command(frames, weights, tmp_path / "run", "--device", "cpu")
    arguments.remove("bf16=false")
    assert main(arguments) == 0
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").config["bf16"] is own
    assert f"bf16 auto: {str(own).lower()}, this processor (" in capsys.readouterr().out


def test_a_network_that_got_worse_is_not_exported(
    frames: Path, weights: Path, tmp_path: Path, judged: dict, capsys: pytest.CaptureFixture
) -> None:
    judged |= {"before": Quality(100, 50), "after": Quality(100, 49.5)}
    assert main(command(frames, weights, tmp_path / "run")) == 1
    assert not list((tmp_path / "run").rglob("*.onnx"))
    assert "nothing was exported" in capsys.readouterr().err
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_frames_without_any_match_are_refused(
    frames: Path, weights: Path, tmp_path: Path, judged: dict, capsys: pytest.CaptureFixture
) -> None:
    judged |= {"before": Quality(0, 0), "after": Quality(0, 0)}
    assert main(command(frames, weights, tmp_path / "run")) == 1
    assert "record a moving camera" in capsys.readouterr().err


def test_an_output_is_not_used_twice(
    frames: Path, weights: Path, tmp_path: Path, judged: dict, capsys: pytest.CaptureFixture
) -> None:
    judged |= {"before": Quality(1, 1), "after": Quality(1, 1)}
    assert main(command(frames, weights, tmp_path / "run")) == 0
    assert main(command(frames, weights, tmp_path / "run")) == 1
    assert "choose another --output" in capsys.readouterr().err


def test_the_real_judging_runs(frames: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    status = main(command(frames, weights, tmp_path / "run"))
    printed = capsys.readouterr().out
    rows = {
        line.split()[0]: float(line.split()[2]) for line in printed.splitlines() if line.startswith(("before", "after"))
    }
    assert rows["before"] > 10, "the camera only pans: many matches agree"
    assert status == (0 if rows["after"] >= rows["before"] else 1)


def test_base_photographs_are_replayed(
    frames: Path, weights: Path, photos: Path, tmp_path: Path, judged: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged |= {"before": Quality(1, 1), "after": Quality(1, 1)}
    received = []
    original = module.train
    monkeypatch.setattr(
        module,
        "train",
        lambda config, data, *rest, **known: received.append(data) or original(config, data, *rest, **known),
    )
    assert main(command(frames, weights, tmp_path / "run", "--base", str(photos))) == 0
    share = received[0].probability[[not name.startswith(str(frames)) for name in received[0].names]]
    assert share.sum() == pytest.approx(0.5) and len(share) == 2


@pytest.mark.parametrize("source", ["missing", "missing.mcap"])
def test_a_missing_recording_is_one_readable_line(
    source: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(command(tmp_path / source, weights, tmp_path / "run")) == 1
    error = capsys.readouterr().err
    assert error.startswith("finetune: no source") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
