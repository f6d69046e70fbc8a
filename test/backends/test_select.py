from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from silk_ros import Extractor
from silk_ros.backends import BACKENDS, Backend, select_backend
from silk_ros.paths import default_model


def test_a_backend_is_chosen_by_name() -> None:
    backend = select_backend("onnxruntime", "fp32", default_model(), 50)
    assert (backend.name, backend.precision, backend.max_keypoints) == ("onnxruntime", "fp32", 50)


def test_auto_chooses_one_that_is_known() -> None:
    assert select_backend("auto", "auto", default_model(), 50).name in BACKENDS


@pytest.mark.parametrize("name", ["", "cuda", "ONNXRuntime"])
def test_an_unknown_backend_lists_the_choices(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown backend '{name}': choose auto or one of") as caught:
        select_backend(name, "auto", default_model(), 50)
    assert all(known in str(caught.value) for known in BACKENDS)


def test_auto_goes_on_to_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Backend:
        raise ImportError("the openvino backend needs OpenVINO: pip install it")

    monkeypatch.setitem(BACKENDS, "openvino", missing)
    assert select_backend("auto", "auto", default_model(), 50).name == "onnxruntime"
    with pytest.raises(ImportError, match="needs OpenVINO"):  # one asked for by name is not replaced
        select_backend("openvino", "auto", default_model(), 50)
    monkeypatch.setitem(BACKENDS, "onnxruntime", missing)
    with pytest.raises(ImportError, match="needs OpenVINO"):
        select_backend("auto", "auto", default_model(), 50)


def test_an_unknown_precision_lists_the_choices() -> None:
    with pytest.raises(ValueError, match="'fp7': use precision auto, fp32 or int8"):
        select_backend("onnxruntime", "fp7", default_model(), 50)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_a_missing_model_is_a_missing_file(tmp_path: Path, backend: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing.onnx"):
        Extractor.load(tmp_path / "missing.onnx", backend=backend)


def test_a_library_that_is_not_installed_is_named() -> None:
    program = """
import sys
sys.modules["onnxruntime"] = None  # what an import finds when there is no such package
import silk_ros
silk_ros.Extractor.load(backend="onnxruntime")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "ImportError: the onnxruntime backend needs ONNX Runtime: pip install onnxruntime" in result.stderr
