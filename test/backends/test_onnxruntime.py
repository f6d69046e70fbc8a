from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from silk_ros.backends.model import Model
from silk_ros.backends.onnxruntime import OnnxRuntimeBackend
from silk_ros.paths import default_model

SILK_OUTPUTS = ("keypoints", "scores", "descriptors")


def write_foreign_model(path: Path, name: str, kind: int, outputs: tuple[str, ...], **metadata: str) -> None:
    """A valid ONNX file that is no SiLK network: it hands its input on."""
    shape = [1, 1, "H", "W"]
    nodes = [helper.make_node("Cast", [name], [output], to=TensorProto.FLOAT) for output in outputs]
    values = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape) for output in outputs]
    graph = helper.make_graph(nodes, "foreign", [helper.make_tensor_value_info(name, kind, shape)], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def test_the_backend_says_what_it_is() -> None:
    backend = OnnxRuntimeBackend(Model(default_model()), 100)
    assert (backend.name, backend.device, backend.precision) == ("onnxruntime", "CPU", "fp32")
    assert (backend.border, backend.descriptor_dim) == (3, 32)
    assert (backend.model, backend.max_keypoints) == (default_model(), 100)


@pytest.mark.parametrize("cap", [1, 100, 1500, 5000])
def test_max_keypoints_specialises_the_graph(photo: NDArray[np.uint8], cap: int) -> None:
    keypoints, scores, descriptors = OnnxRuntimeBackend(Model(default_model()), cap).extract(photo[:96, :128].copy())
    assert (keypoints.shape, scores.shape, descriptors.shape) == ((cap, 2), (cap,), (cap, 32))
    assert keypoints.dtype == scores.dtype == descriptors.dtype == np.float32


def test_two_sessions_keep_their_own_max_keypoints(photo: NDArray[np.uint8]) -> None:
    few, many = (OnnxRuntimeBackend(Model(default_model()), cap) for cap in (10, 20))
    image = photo[:48, :64].copy()
    assert [len(backend.extract(image)[0]) for backend in (few, many, few)] == [10, 20, 10]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file at .*missing.onnx': check model_path"):
        OnnxRuntimeBackend(Model(tmp_path / "missing.onnx"), 10)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model file at"):
        OnnxRuntimeBackend(Model(tmp_path), 10)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:100],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: b"<html>404: not found</html>" * 50,
        lambda whole: np.random.default_rng(0).bytes(10_000),
    ],
    ids=["empty", "start", "half", "without its end", "web page", "noise"],
)
def test_a_damaged_file_is_explained(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damage(default_model().read_bytes()))
    with pytest.raises(ValueError, match=r"damaged.onnx' is not a usable ONNX file .*: export it again") as caught:
        OnnxRuntimeBackend(Model(path), 10)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "kind", "outputs", "metadata"),
    [
        ("x", TensorProto.FLOAT, ("y",), {}),
        ("image", TensorProto.UINT8, SILK_OUTPUTS, {}),
        ("image", TensorProto.UINT8, SILK_OUTPUTS, {"architecture": "other"}),
        ("image", TensorProto.FLOAT, SILK_OUTPUTS, {"architecture": "mu", "border": "3", "descriptor_dim": "32"}),
        ("image", TensorProto.UINT8, SILK_OUTPUTS[:2], {"architecture": "mu", "border": "3", "descriptor_dim": "32"}),
    ],
    ids=["another network", "without metadata", "foreign metadata", "float input", "missing output"],
)
def test_a_foreign_network_is_refused(
    tmp_path: Path, name: str, kind: int, outputs: tuple[str, ...], metadata: dict[str, str]
) -> None:
    path = tmp_path / "foreign.onnx"
    write_foreign_model(path, name, kind, outputs, **metadata)
    with pytest.raises(ValueError, match=r"foreign.onnx' is an ONNX file, but not of a SiLK network: export one"):
        OnnxRuntimeBackend(Model(path), 10)


def test_unreadable_metadata_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    write_foreign_model(
        path, "image", TensorProto.UINT8, SILK_OUTPUTS, architecture="mu", border="three", descriptor_dim="32"
    )
    with pytest.raises(ValueError, match=r"odd.onnx"):
        OnnxRuntimeBackend(Model(path), 10)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "FP32", ""])
def test_an_unknown_precision_lists_the_choices(precision: str) -> None:
    with pytest.raises(ValueError, match=f"unknown precision '{precision}' .*: use one of auto, fp32, int8"):
        OnnxRuntimeBackend(Model(default_model()), 10, precision)


@pytest.mark.parametrize(("precision", "actual"), [("auto", "fp32"), ("fp32", "fp32"), ("int8", "int8")])
def test_its_own_precisions_are_accepted(precision: str, actual: str) -> None:
    assert OnnxRuntimeBackend(Model(default_model()), 10, precision).precision == actual
