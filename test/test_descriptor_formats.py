"""Descriptors in the formats of messages, and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from silk_ros.backends import Backend, select_backend
from silk_ros.binary import binary_code, unit_vectors
from silk_ros.descriptor_formats import decode, encoder
from silk_ros.paths import default_model


@pytest.fixture(scope="module")
def backend() -> Backend:
    return select_backend("onnxruntime", "fp32", default_model(), 10)


@pytest.mark.parametrize(("name", "dtype"), [("float32", np.float32), ("float16", np.uint16), ("binary256", np.uint8)])
def test_formats_are_read_back(name: str, dtype: type, backend: Backend) -> None:
    descriptors = np.random.default_rng(0).normal(size=(50, 32)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    encoded = encoder(name, backend)(descriptors)
    assert encoded.dtype == dtype and encoded.shape == (50, 32)
    found = decode(encoded)
    assert found.dtype == np.float32
    if name == "binary256":
        np.testing.assert_array_equal(found, unit_vectors(encoded))
    else:
        np.testing.assert_allclose(found, descriptors, atol=0 if name == "float32" else 1e-3)


def test_an_unknown_format_lists_the_choices(backend: Backend) -> None:
    with pytest.raises(ValueError, match="unknown descriptor_format 'int4': choose one of float32, float16, binary256"):
        encoder("int4", backend)


def test_codes_are_those_of_the_file_that_the_backend_read(tmp_path: Path) -> None:
    path = Path(shutil.copy(default_model(), tmp_path / "own.onnx"))
    backend = select_backend("onnxruntime", "fp32", path, 10)
    path.write_bytes(b"swapped")
    descriptors = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    expected = binary_code(default_model()).encode(descriptors)
    np.testing.assert_array_equal(encoder("binary256", backend)(descriptors), expected)


def test_a_model_without_a_code_says_how_to_train_one(tmp_path: Path) -> None:
    network = onnx.load(default_model())
    entries = {entry.key: entry.value for entry in network.metadata_props if entry.key != "binary256"}
    onnx.helper.set_model_props(network, entries)
    onnx.save(network, tmp_path / "own.onnx")
    backend = select_backend("onnxruntime", "fp32", tmp_path / "own.onnx", 10)
    assert encoder("float16", backend) is not None
    with pytest.raises(ValueError, match=r"own.onnx' has no binary code: train one with python -m training.binary .*"):
        encoder("binary256", backend)
