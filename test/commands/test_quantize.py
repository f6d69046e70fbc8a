from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from silk_ros import Extractor
from silk_ros.backends import model as model_file
from silk_ros.backends import quantization
from silk_ros.commands.quantize import CALIBRATION_IMAGES, CALIBRATION_SIZE, calibration_images, main
from silk_ros.paths import default_model

Image = NDArray[np.uint8]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(default_model(), tmp_path / "own.onnx"))


def test_the_command_writes_a_sibling_that_runs(
    model: Path, frames: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("silk_ros.commands.quantize.KEYPOINTS", 500)
    monkeypatch.setattr(model_file, "MIN_OVERLAP", 0.5)
    monkeypatch.setattr(model_file, "MAX_PRECISION_LOSS", 0.2)
    assert main([str(model), "--images", str(frames), "--pairs", str(frames)]) == 0
    assert "keypoints" in capsys.readouterr().out
    extractor = Extractor.load(model, 100, "onnxruntime", "int8")
    assert extractor.backend.precision == "int8"
    entries = {entry.key: entry.value for entry in onnx.load(model_file.int8_path(model)).metadata_props}
    assert entries["float_sha256"] == model_file.sha256(model) and entries["architecture"] == "vggnp-mu"
    assert 0.5 < float(entries["topk_overlap"]) < 1 and int(entries["pairs"]) >= 2
    # A float network that changed since has no int8 version any more.
    network = onnx.load(model)
    network.doc_string = "tuned"
    onnx.save(network, model)
    with pytest.raises(ValueError, match="quantize that again"):
        Extractor.load(model, 100, precision="int8")


def test_what_lost_too_much_is_not_written(
    model: Path, frames: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("silk_ros.commands.quantize.KEYPOINTS", 500)
    monkeypatch.setattr(model_file, "MIN_OVERLAP", 1.1)
    assert main([str(model), "--images", str(frames), "--pairs", str(frames)]) == 1
    assert "lost too much by quantisation" in capsys.readouterr().err
    assert not model_file.int8_path(model).exists()


def test_the_shipped_file_passes_its_gate() -> None:
    assert Extractor.load(None, 100, "onnxruntime", "int8").backend.precision == "int8"


def test_equalised_channels_compute_the_same(photo: Image) -> None:
    network = onnx.load(default_model())
    before = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in network.graph.initializer}
    quantization._equalise(network, [photo])
    changed = {
        t.name for t in network.graph.initializer if not np.array_equal(numpy_helper.to_array(t), before[t.name])
    }
    assert {"describe.weight", "backbone.0.0.weight", "backbone.0.0.bias"} <= changed
    outputs = [
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"image": photo[None, None]})
        for data in (default_model().read_bytes(), network.SerializeToString())
    ]
    for reference, actual in zip(*outputs):
        np.testing.assert_allclose(actual[:, :300], reference[:, :300], atol=2e-4)


def test_calibration_images_have_one_size(frames: Path) -> None:
    images = calibration_images(str(frames))
    assert len(images) == 10 and {image.shape for image in images} == {CALIBRATION_SIZE[::-1]}


def test_calibration_images_are_spread_over_a_long_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [np.full(CALIBRATION_SIZE[::-1], index, np.uint8) for index in range(250)]
    monkeypatch.setattr("silk_ros.commands.quantize.read_gray_frames", lambda *_, **__: iter(frames))
    chosen = [int(image[0, 0]) for image in calibration_images("recording.mcap")]
    assert len(chosen) == CALIBRATION_IMAGES and (chosen[0], chosen[-1]) == (0, 248)
    assert set(np.diff(chosen)) == {4, 8}, "every fourth was kept, and most of these are chosen"


@pytest.mark.parametrize(
    ("images", "pairs", "message"),
    [
        ("frames", "few", "has 3 images: at least 6 are needed"),
        ("empty", "frames", "empty"),
        ("none", "frames", "none"),
    ],
)
def test_bad_input_is_one_line_that_names_the_fix(
    model: Path, frames: Path, images: str, pairs: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few, empty = frames.parent / "few", frames.parent / "empty"
    few.mkdir()
    empty.mkdir()
    for path in sorted(frames.iterdir())[:3]:
        shutil.copy(path, few)
    status = main([str(model), "--images", str(frames.parent / images), "--pairs", str(frames.parent / pairs)])
    error = capsys.readouterr().err.strip().splitlines()
    assert status == 1 and error[-1].startswith("quantize: ") and message in error[-1]


def test_the_float_file_is_never_overwritten(model: Path, frames: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = model.read_bytes()
    assert main([str(model), "--images", str(frames), "--pairs", str(frames), "--output", str(model)]) == 1
    assert "is the float file: give another name" in capsys.readouterr().err
    assert model.read_bytes() == before
