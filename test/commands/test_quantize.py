from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from skimage import data

from silk_ros import Extractor
from silk_ros.backends import model as model_file
from silk_ros.backends import quantization
from silk_ros.commands.quantize import CALIBRATION_IMAGES, CALIBRATION_SIZE, calibration_images, check_report, main
from silk_ros.evaluation.quantization_loss import ConfidenceInterval, QuantizationReport
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
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("calibrating with 10 of the 10 images") and "judging by 5 of at most 5 pairs" in said[1]
    assert said[-2] == f"wrote {model_file.int8_path(model)}" and said[-1].endswith("own_int8.onnx -p precision:=int8")
    assert "keypoints" in said[3]
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


def test_a_damaged_network_is_not_written(
    model: Path, frames: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = quantization.quantize_network

    def damaged(*arguments: object) -> onnx.ModelProto:
        network = original(*arguments)
        weights = next(tensor for tensor in network.graph.initializer if tensor.name == quantization.DESCRIBE)
        values = numpy_helper.to_array(weights)
        noise = np.random.default_rng(0).normal(scale=values.std(), size=values.shape)
        quantization._replace(weights, values + noise)
        return network

    monkeypatch.setattr("silk_ros.commands.quantize.KEYPOINTS", 500)
    monkeypatch.setattr(model_file, "MIN_OVERLAP", 0.5)
    monkeypatch.setattr(quantization, "quantize_network", damaged)
    assert main([str(model), "--images", str(frames), "--pairs", str(frames)]) == 1
    assert "lost too much by quantisation" in capsys.readouterr().err
    assert not model_file.int8_path(model).exists()


@pytest.mark.parametrize(
    ("losses", "advice"),
    [([-0.016, 0.02] * 3, "give --pairs about 19 more images"), ([-0.02, 0.041] * 10, "try another --scale")],
)
def test_too_few_pairs_ask_for_more_or_for_another_way(losses: list[float], advice: str) -> None:
    loss, overlap = ConfidenceInterval.of(np.array(losses)), ConfidenceInterval(0.95, 0.01, len(losses))
    report = QuantizationReport(1.0, np.nan, np.nan, 0.5, 0.5, overlap, loss)
    with pytest.raises(ValueError, match=f"too few pairs to tell .*no longer right.*{advice}"):
        check_report(report, 0.5, Path("own_int8.onnx"))


def test_unrelated_photographs_judge_nothing(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "unrelated"
    folder.mkdir()
    for index, image in enumerate(
        (data.camera(), data.brick(), data.grass(), data.gravel(), data.coins(), data.page())
    ):
        cv2.imwrite(str(folder / f"{index}.png"), image[:180, :240])
    assert main([str(model), "--images", str(folder), "--pairs", str(folder)]) == 1
    assert "consecutive images of a moving camera" in capsys.readouterr().err


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
