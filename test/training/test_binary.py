from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from silk_ros import Extractor, Features
from silk_ros.backends.model import int8_path, sha256
from silk_ros.binary import BITS, METADATA_KEY, BinaryCode, binary_code
from silk_ros.paths import default_model
from training import binary, binary_pairs
from training.binary import (
    learn,
    main,
    mean_recall,
    random_code,
    rotations,
    write_code,
)
from training.binary_pairs import DescriptorPair


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped network and its int8 version."""
    shutil.copy(int8_path(default_model()), tmp_path / "own_int8.onnx")
    return Path(shutil.copy(default_model(), tmp_path / "own.onnx"))


def described(descriptors: np.ndarray) -> Features:
    unit = descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(np.zeros((len(unit), 2)), np.zeros(len(unit)), unit)


def pairs(count: int, seed: int) -> list[DescriptorPair]:
    """Descriptors (200, 16) of which a few directions tell points apart, and the others are noise."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        shared = rng.normal(size=(200, 16)) * np.r_[np.ones(6), np.zeros(10)]
        a, b = (shared + rng.normal(size=shared.shape) * np.r_[np.full(6, 0.1), np.ones(10)] for _ in range(2))
        order = rng.permutation(200)
        same = np.stack([order, np.arange(200)], axis=1)
        others = np.arange(200) != np.arange(200)[:, None], np.arange(200) != order[:, None]
        found.append(DescriptorPair(described(a), described(b[order]), same, *others))
    return found


def entries(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_learning_beats_random_hyperplanes() -> None:
    code = learn(pairs(4, 0), steps=60, seed=0)
    assert mean_recall(pairs(2, 1), code) > mean_recall(pairs(2, 1), random_code(16, 0)) + 0.1


def test_what_is_learned_is_what_is_stored() -> None:
    code = learn(pairs(1, 0), steps=2)
    assert learn(pairs(1, 0), steps=2).to_metadata() == code.to_metadata()
    back = BinaryCode.from_metadata(code.to_metadata() | {"descriptor_dim": "16"})
    assert back is not None
    np.testing.assert_array_equal(back.projection, code.projection)
    np.testing.assert_array_equal(back.thresholds, code.thresholds)


@pytest.mark.parametrize("dim", [32, 100, 300])
def test_directions_start_as_rotations(dim: int) -> None:
    directions = rotations(dim, 0).numpy()
    assert directions.shape == (dim, BITS)
    block = directions[:, : min(dim, BITS)]
    np.testing.assert_allclose(block.T @ block, np.eye(block.shape[1]), atol=1e-5)


def test_only_metadata_change_and_int8_still_belongs_to_the_float_file(model: Path, tmp_path: Path) -> None:
    before = {path: onnx.load(path) for path in (model, int8_path(model))}
    old = {path: entries(path) for path in before}
    code = random_code(32, 3)
    assert write_code(model, model, code) == [model, int8_path(model)]
    for path, network in before.items():
        after = onnx.load(path)
        assert after.graph.SerializeToString() == network.graph.SerializeToString()
        after.metadata_props.clear()
        network.metadata_props.clear()
        assert after.SerializeToString() == network.SerializeToString()
        changed = {key for key, value in entries(path).items() if old[path].get(key) != value}
        assert changed == {METADATA_KEY} | ({"float_sha256"} if path != model else set())
        assert binary_code(path).to_metadata() == code.to_metadata()
    assert entries(int8_path(model))["float_sha256"] == sha256(model)
    assert Extractor.load(model, 100, "onnxruntime", "int8").backend.precision == "int8"


def test_a_file_elsewhere_gets_a_sibling_there(model: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    (tmp_path / "new").mkdir()
    output = tmp_path / "new" / "coded.onnx"
    assert write_code(model, output, random_code(32, 0)) == [output, int8_path(output)]
    assert model.read_bytes() == content
    assert Extractor.load(output, 100, "onnxruntime", "int8").backend.precision == "int8"


def test_an_int8_file_of_another_network_is_not_adopted(model: Path) -> None:
    network = onnx.load(model)
    network.doc_string = "tuned"
    onnx.save(network, model)
    with pytest.raises(ValueError, match=r"was made from another version of .* quantize the model again"):
        write_code(model, model, random_code(32, 0))


def test_the_command_learns_and_writes(
    model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(binary_pairs, "SIDE", 160)
    monkeypatch.setattr(binary, "HELD_OUT_PAIRS", 2)
    before = binary_code(model).to_metadata()
    assert main([str(model), "--images", str(photos), "--pairs", "2", "--steps", "3"]) == 0
    printed = capsys.readouterr().out
    assert "random hyperplanes: 0." in printed and f"wrote {model}" in printed
    assert binary_code(model).to_metadata() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "must be at least 1"),
        (["--output", "nowhere/own.onnx"], "no folder 'nowhere' for --output"),
        (["--images", "nothing"], "no source 'nothing'"),
        (["--images", "{photos}/cat"], "one image is not enough"),
    ],
)
def test_bad_input_is_one_line_that_names_the_fix(
    model: Path, photos: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.format(photos=photos) for argument in arguments]
    content = model.read_bytes()
    assert main([str(model), "--images", str(photos), *given]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("binary: ") and message in error[-1]
    assert model.read_bytes() == content
