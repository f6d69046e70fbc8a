from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime
import pytest

from silk_ros import Extractor
from silk_ros.backends import AUTO, BACKENDS, BackendUnavailable, select_backend
from silk_ros.backends.onnxruntime import PROVIDERS
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


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes only the named backends available; each says which it is."""

    class Named:
        def __init__(self, name: str) -> None:
            self.name, self.device, self.precision, self.reason = name, "device", "precision", "it suits the device"

    def set_available(*names: str) -> None:
        def load(name: str, *_: object) -> object:
            if name not in names:
                raise BackendUnavailable(f"{name} needs a package")
            return Named(name)

        for name in BACKENDS:
            monkeypatch.setitem(BACKENDS, name, partial(load, name))

    return set_available


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (("tensorrt", "onnxruntime_cuda", "openvino", "onnxruntime"), "tensorrt"),
        (("onnxruntime_cuda", "onnxruntime_tensorrt", "openvino", "onnxruntime"), "onnxruntime_cuda"),
        (("openvino", "onnxruntime"), "openvino"),
        (("onnxruntime",), "onnxruntime"),
    ],
)
def test_auto_takes_the_first_that_is_here_and_says_why(
    here: Callable[..., None], caplog: pytest.LogCaptureFixture, available: tuple[str, ...], chosen: str
) -> None:
    here(*available)
    with caplog.at_level(logging.INFO, "silk_ros"):
        assert select_backend("auto", "auto", default_model(), 50).name == chosen
    *passed_over, taken, precision = caplog.messages
    expected = AUTO[: AUTO.index(chosen)]
    assert passed_over == [f"backend auto: not {name}: {name} needs a package" for name in expected]
    assert taken == f"backend auto: {chosen} on device"
    assert precision == "precision auto: precision: it suits the device"


def test_auto_with_nothing_here_names_every_remedy(here: Callable[..., None]) -> None:
    here()
    with pytest.raises(BackendUnavailable) as caught:
        select_backend("auto", "auto", default_model(), 50)
    assert all(f"{name} needs a package" in str(caught.value) for name in AUTO)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_asked_for_by_name_never_gives_way(here: Callable[..., None], name: str) -> None:
    here(*(other for other in BACKENDS if other != name))
    with pytest.raises(BackendUnavailable, match=f"{name} needs a package"):
        select_backend(name, "auto", default_model(), 50)


@pytest.mark.parametrize(
    ("precision", "chosen"), [("bf16", "openvino"), ("fp16", "tensorrt"), ("fp32", "tensorrt"), ("int8", "tensorrt")]
)
def test_auto_takes_one_that_computes_in_the_precision(here: Callable[..., None], precision: str, chosen: str) -> None:
    here(*BACKENDS)
    assert select_backend("auto", precision, default_model(), 50).name == chosen


@pytest.mark.parametrize("backend", ["auto", "onnxruntime", "openvino", "tensorrt"])
def test_an_unknown_precision_lists_the_choices(backend: str) -> None:
    with pytest.raises(ValueError, match=r"unknown precision 'fp7'.*: use .*auto.*fp32"):
        select_backend(backend, "fp7", default_model(), 50)


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
    assert "BackendUnavailable: the onnxruntime backend needs ONNX Runtime: pip install onnxruntime" in result.stderr


@pytest.mark.parametrize("name", ["onnxruntime_cuda", "onnxruntime_tensorrt"])
def test_a_provider_that_is_missing_is_named_with_its_package(name: str) -> None:
    if PROVIDERS[name][0] in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has it")
    with pytest.raises(BackendUnavailable, match=rf"{name} backend needs .*ExecutionProvider: .*onnxruntime-gpu"):
        select_backend(name, "auto", default_model(), 50)


def test_a_provider_that_gives_way_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ONNX Runtime does when it has the CUDA provider but finds no driver or library."""
    monkeypatch.setitem(PROVIDERS, "onnxruntime_cuda", ("AzureExecutionProvider",))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider"])
    original = onnxruntime.InferenceSession
    cpu = ["CPUExecutionProvider"]
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, options, **_: original(path, options, providers=cpu)
    )
    with pytest.raises(BackendUnavailable, match=r"does not start .*CPUExecutionProvider.*needs an NVIDIA GPU"):
        select_backend("onnxruntime_cuda", "auto", default_model(), 50)
    assert select_backend("auto", "auto", default_model(), 50).name in ("openvino", "tensorrt")


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (
            ("tensorrt", "tensorrt_rtx"),
            r"needs TensorRT: on a Jetson apt install .*, elsewhere pip install 'silk_ros\[",
        ),
        (("onnx",), r"needs the onnx package: pip install onnx"),
        (("cuda", "cuda.bindings", "cuda.bindings.runtime"), r"needs cuda-python: pip install 'silk_ros\[tensorrt\]'"),
    ],
)
def test_each_thing_that_tensorrt_lacks_is_named(hidden: tuple[str, ...], message: str) -> None:
    program = f"""
import sys
for name in {hidden!r}:
    sys.modules[name] = None
import silk_ros
from silk_ros.backends.tensorrt import cuda
if "cuda" not in sys.modules:
    cuda.gpu = lambda: cuda.Gpu("Test GPU", "8.7")
try:
    silk_ros.Extractor.load(backend="tensorrt")
except ImportError as error:
    print(error)
print(silk_ros.Extractor.load().backend.name)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    error, chosen = result.stdout.splitlines()
    assert re.search(message, error), error
    assert chosen != "tensorrt"
