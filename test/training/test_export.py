import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from onnx import TensorProto, numpy_helper

from silk_ros import Extractor
from silk_ros.backends import SelectionRules
from silk_ros.backends.model import Model
from silk_ros.backends.onnxruntime import OnnxRuntimeBackend
from training.checkpoint import Checkpoint, load_checkpoint
from training.export import export, export_model, main
from training.model import ARCHITECTURES, SiLK

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models" / "silk_vggnp_mu.onnx"
KEYPOINTS = 300


class Exported(NamedTuple):
    network: SiLK
    file: Path


class Result(NamedTuple):
    keypoints: np.ndarray
    scores: np.ndarray
    descriptors: np.ndarray


@pytest.fixture(scope="module", params=ARCHITECTURES)
def exported(
    request: pytest.FixtureRequest, random_network: Callable[[str], SiLK], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    network, file = random_network(request.param), tmp_path_factory.mktemp(request.param) / "silk.onnx"
    export_model(network, file, {"training_steps": 5}, KEYPOINTS)
    return Exported(network, file)


@pytest.fixture
def checkpoint(random_network: Callable[[str], SiLK], tmp_path: Path) -> Path:
    path = tmp_path / "last.safetensors"
    provenance = {"commit": "c0ffee", "data_hash": "feed"}
    weights = random_network("vggnp-mu").state_dict()
    Checkpoint(weights, {}, 7, {"architecture": "vggnp-mu"}, provenance, {}).save(path)
    return path


def gray(height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(skimage.data.camera()[100 : 100 + height, 150 : 150 + width])


def run_onnx(file: Path, image: np.ndarray, max_keypoints: int | None = None) -> Result:
    proto = onnx.load(file)
    if max_keypoints is not None:
        (keypoints,) = [entry for entry in proto.graph.initializer if entry.name == "max_keypoints"]
        keypoints.CopyFrom(numpy_helper.from_array(np.array([max_keypoints], np.int64), "max_keypoints"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = session.run(list(Result._fields), {"image": image[None, None]})
    assert all(output.dtype == np.float32 and output.shape[0] == 1 for output in outputs)
    return Result(*(output[0] for output in outputs))


@pytest.mark.parametrize("shape", [(64, 80), (51, 94)])
def test_the_file_gives_the_keypoints_scores_and_descriptors_of_the_network(
    exported: Exported, shape: tuple[int, int]
) -> None:
    image, network = gray(*shape), exported.network
    result = run_onnx(exported.file, image)
    with torch.inference_mode():
        dense_logits, dense_descriptors = network(torch.from_numpy(image)[None, None].float() / 255)
    logits, descriptors = dense_logits[0, 0], F.normalize(dense_descriptors[0], dim=0)

    columns, rows = ((result.keypoints - network.border) / network.stride).astype(int).T
    positions = np.stack([columns, rows], axis=1)
    assert np.array_equal(result.keypoints, positions * network.stride + network.border)
    assert len({*map(tuple, positions.tolist())}) == len(result.keypoints) == KEYPOINTS
    # The keypoint of each rank has the logit of that rank: the same keypoints, but for ties.
    best = logits.flatten().sort(descending=True).values[:KEYPOINTS]
    torch.testing.assert_close(logits[rows, columns], best, rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.scores, logits[rows, columns].sigmoid(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.descriptors, descriptors[:, rows, columns].T, rtol=0, atol=1e-4)


def test_results_come_best_first_and_descriptors_have_unit_length(exported: Exported) -> None:
    result = run_onnx(exported.file, gray(64, 96))
    assert (np.diff(result.scores) <= 0).all()
    assert result.scores[0] > result.scores[-1]
    np.testing.assert_allclose(np.linalg.norm(result.descriptors, axis=1), 1, atol=1e-5)


def test_an_image_with_fewer_positions_than_keypoints_gives_all_of_them(exported: Exported) -> None:
    result = run_onnx(exported.file, gray(21, 24), max_keypoints=10**6)
    xs, ys = (
        range(exported.network.border, side - exported.network.border, exported.network.stride) for side in (24, 21)
    )
    assert len(result.keypoints) == len(result.scores) == len(result.descriptors) == len(xs) * len(ys)
    assert {*map(tuple, result.keypoints.tolist())} == {(x, y) for x in xs for y in ys}


def test_the_smallest_image_that_the_border_leaves_gives_one_keypoint(exported: Exported) -> None:
    border = exported.network.border
    result = run_onnx(exported.file, gray(2 * border + 1, 2 * border + 1))
    assert result.keypoints.tolist() == [[border, border]]
    assert np.isfinite(result.descriptors).all()


def test_the_number_of_keypoints_is_an_initializer_that_a_runtime_may_replace(exported: Exported) -> None:
    image = gray(64, 96)
    (initializer,) = [entry for entry in onnx.load(exported.file).graph.initializer if entry.name == "max_keypoints"]
    assert numpy_helper.to_array(initializer).tolist() == [KEYPOINTS]
    few, many = run_onnx(exported.file, image, max_keypoints=7), run_onnx(exported.file, image)
    assert np.array_equal(few.keypoints, many.keypoints[:7])
    np.testing.assert_allclose(few.descriptors, many.descriptors[:7], atol=1e-5)


def test_metadata_tells_the_network(exported: Exported) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(exported.file).metadata_props}
    network = exported.network
    assert metadata == {
        "architecture": network.name,
        "border": str(network.border),
        "stride": str(network.stride),
        "descriptor_dim": str(network.architecture.descriptor_dim),
        "training_steps": "5",
    }


@pytest.mark.parametrize(("border", "radius", "cell"), [(0, 3, 0), (10, 0, 0), (11, 5, 24)])
def test_selection_rules_are_pixels_of_the_network_at_any_stride(
    exported: Exported, border: int, radius: int, cell: int
) -> None:
    network, file = exported
    rules = SelectionRules(border, radius, cell, 2 if cell else 0)
    backend = OnnxRuntimeBackend(Model(file, rules), 10_000)
    keypoints, scores, _ = backend.extract(gray(101, 120))
    assert len(keypoints) and (np.diff(scores) <= 0).all()
    lost = max(border, network.border)
    assert (keypoints >= lost).all() and (keypoints <= np.array([119, 100]) - lost).all()
    assert (keypoints.min(axis=0) < lost + network.stride + radius + 1).all(), "no more than that"
    apart = np.abs(keypoints[:, None] - keypoints).max(axis=2)
    assert ((apart <= radius).sum(axis=1) == 1).all()


def signature(values: object) -> dict[str, tuple[int, list[int | str]]]:
    """Name -> element type and shape, in which a dynamic side is a name."""
    types = {value.name: value.type.tensor_type for value in values}
    return {
        name: (kind.elem_type, [side.dim_param or side.dim_value for side in kind.shape.dim])
        for name, kind in types.items()
    }


def check_file(file: Path, descriptor_dim: int) -> None:
    proto = onnx.load(file)
    onnx.checker.check_model(proto, full_check=True)
    assert signature(proto.graph.input) == {"image": (TensorProto.UINT8, [1, 1, "H", "W"])}
    assert signature(proto.graph.output) == {
        "keypoints": (TensorProto.FLOAT, [1, "K", 2]),
        "scores": (TensorProto.FLOAT, [1, "K"]),
        "descriptors": (TensorProto.FLOAT, [1, "K", descriptor_dim]),
    }
    content = file.read_bytes()
    assert not [path for path in (ROOT, sys.prefix, sys.base_prefix) if f"{path}/".encode() in content]
    assert not re.search(rb"/(home|root|tmp|usr|work)/|site-packages", content)


def test_the_file_is_valid_has_the_agreed_interface_and_no_path_of_this_machine(exported: Exported) -> None:
    check_file(exported.file, descriptor_dim=32 if exported.network.name == "vggnp-mu" else 128)


def test_the_shipped_file_is_valid_and_knows_where_it_comes_from() -> None:
    check_file(SHIPPED, descriptor_dim=32)
    metadata = {entry.key: entry.value for entry in onnx.load(SHIPPED).metadata_props}
    assert (metadata["architecture"], metadata["border"], metadata["descriptor_dim"]) == ("vggnp-mu", "3", "32")
    assert re.fullmatch(r"[0-9a-f]{40}", metadata["training_commit"])
    assert re.fullmatch(r"[0-9a-f]{64}", metadata["training_data_hash"])


def test_the_shipped_file_finds_the_same_things_in_a_shifted_image() -> None:
    image = skimage.data.camera()
    a, b = run_onnx(SHIPPED, image[100:260, 100:260]), run_onnx(SHIPPED, image[108:268, 96:256])
    shifted = {(x + 4.0, y - 8.0) for x, y in a.keypoints}
    assert len(shifted & {*map(tuple, b.keypoints.tolist())}) > 0.7 * len(shifted)


def test_the_command_line_exports_a_checkpoint_and_where_it_comes_from(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "silk.onnx"
    assert main([str(checkpoint), str(file), "--max-keypoints", "9"]) == 0
    assert len(run_onnx(file, gray(40, 40)).keypoints) == 9
    metadata = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert metadata["architecture"] == "vggnp-mu"
    assert metadata["training_commit"] == "c0ffee"
    assert metadata["training_data_hash"] == "feed"
    assert metadata["training_steps"] == "7"
    printed = capsys.readouterr()
    assert f"next: make demo MODEL={file}" in printed.out and f"model_path:={file}" in printed.out
    assert "trained for 7 steps: below 1000 it finds few right matches" in printed.err
    assert "trained for 7 steps" in str(Extractor.load(file, 9))


def test_the_steps_of_the_network_it_began_with_count(checkpoint: Path, tmp_path: Path) -> None:
    continued = load_checkpoint(checkpoint)
    continued.provenance["steps_before"] = "2000"
    continued.save(checkpoint)
    export(checkpoint, tmp_path / "silk.onnx")
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "silk.onnx").metadata_props}
    assert (metadata["training_steps"], metadata["training_steps_before"]) == ("2007", "2000")
    assert "trained" not in str(Extractor.load(tmp_path / "silk.onnx", 9))


def test_a_missing_checkpoint_is_a_readable_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    missing = tmp_path / "missing.safetensors"
    assert main([str(missing), str(tmp_path / "silk.onnx")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("export: ")
    assert str(missing) in error


def test_a_file_that_is_no_checkpoint_is_a_readable_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "odd.safetensors").write_bytes(b"not a checkpoint")
    assert main([str(tmp_path / "odd.safetensors"), str(tmp_path / "silk.onnx")]) == 1
    assert "not a checkpoint of training.train" in capsys.readouterr().err


def test_shipped_file_is_readable_by_older_runtimes() -> None:
    assert onnx.load(str(SHIPPED)).ir_version <= 9
