from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest

from silk_ros import Extractor, backends
from silk_ros.backends import AUTO, BACKENDS, BackendUnavailable, nvidia, processor, select_backend
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


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[int], list[str]]]:
    """What was logged at a level, on a machine without a GPU that has said nothing yet."""
    monkeypatch.setattr(backends, "gpu_problem", lambda: nvidia.NO_GPU)
    backends.forget_choice()
    with caplog.at_level(logging.DEBUG, "silk_ros.backends"):
        yield lambda level: [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (("tensorrt", "onnxruntime_cuda", "openvino", "onnxruntime"), "tensorrt"),
        (("onnxruntime_cuda", "onnxruntime_tensorrt", "openvino", "onnxruntime"), "onnxruntime_cuda"),
        (("openvino", "onnxruntime"), "openvino"),
        (("onnxruntime",), "onnxruntime"),
    ],
)
def test_auto_takes_the_first_that_is_here_and_says_why_not_a_faster_one(
    here: Callable[..., None], said: Callable[[int], list[str]], available: tuple[str, ...], chosen: str
) -> None:
    here(*available)
    assert select_backend("auto", "auto", default_model(), 50).name == chosen
    (line,) = said(logging.INFO)
    told, *reasons = line.split("; ")
    expected = AUTO[: AUTO.index(chosen)]
    assert told == f"{chosen} on device, precision"
    # A machine without a GPU needs to hear no more of the backends that need one.
    assert reasons == [*["no NVIDIA GPU"][: len(expected)], *(f"{name} needs a package" for name in expected[2:])]
    *passed_over, precision = said(logging.DEBUG)
    assert passed_over == [f"backend auto: not {name}: {name} needs a package" for name in expected]
    assert precision == "precision auto: precision: it suits the device"


def test_with_a_gpu_the_remedy_is_in_the_log(
    here: Callable[..., None], said: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here("openvino")
    monkeypatch.setattr(backends, "gpu_problem", lambda: "")
    select_backend("auto", "auto", default_model(), 50)
    assert said(logging.INFO) == ["openvino on device, precision; tensorrt needs a package"]


def test_float32_that_auto_took_comes_with_the_reason(
    here: Callable[..., None], said: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here("openvino")
    load = BACKENDS["openvino"]

    def load_float(*arguments: object) -> object:
        backend = load(*arguments)
        backend.precision, backend.reason = "fp32", "there is no int8 version"
        return backend

    monkeypatch.setitem(BACKENDS, "openvino", load_float)
    select_backend("auto", "auto", default_model(), 50)
    assert said(logging.INFO) == ["openvino on device, fp32 (there is no int8 version); no NVIDIA GPU"]


def test_the_same_choice_is_not_said_again(here: Callable[..., None], said: Callable[[int], list[str]]) -> None:
    here("openvino", "onnxruntime")
    for keypoints in (50, 60, 70):
        select_backend("openvino", "auto", default_model(), keypoints)
    select_backend("onnxruntime", "auto", default_model(), 50)
    select_backend("openvino", "auto", default_model(), 50)
    assert [line.split()[0] for line in said(logging.INFO)] == ["openvino", "onnxruntime", "openvino"]
    backends.forget_choice()
    select_backend("openvino", "auto", default_model(), 50)
    assert len(said(logging.INFO)) == 4


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


@pytest.mark.parametrize(("has_bf16", "there_are"), [(True, "fp32, bf16, int8"), (False, "fp32, int8")])
def test_a_precision_that_no_backend_here_computes_in_lists_those_that_there_are(
    here: Callable[..., None], monkeypatch: pytest.MonkeyPatch, has_bf16: bool, there_are: str
) -> None:
    here("openvino", "onnxruntime")
    monkeypatch.setattr(backends, "gpu_problem", lambda: nvidia.NO_GPU)
    monkeypatch.setattr(processor, "computes_bf16", lambda: has_bf16)
    with pytest.raises(BackendUnavailable) as caught:
        select_backend("auto", "fp16", default_model(), 50)
    assert str(caught.value) == (
        "precision fp16 needs the backend tensorrt (no NVIDIA GPU): "
        f"openvino computes here in {there_are}; auto takes the fastest of them"
    )


def test_int8_is_offered_only_where_there_is_an_int8_version(
    here: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here("onnxruntime")
    model = Path(shutil.copy(default_model(), tmp_path))
    with pytest.raises(BackendUnavailable, match=r"onnxruntime computes here in fp32; auto takes"):
        select_backend("auto", "fp16", model, 50)


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "DRIVER", "libcuda-that-is-not-there.so.1")
    assert nvidia.gpu_problem.__wrapped__()


@pytest.mark.parametrize(
    ("device", "error", "problem"),
    [
        ("null", 999, r"^no NVIDIA GPU$"),
        ("nvidia0", 999, r"driver does not answer \(cuInit error 999\): install the driver again"),
        ("nvgpu", 803, r"driver does not answer \(cuInit error 803\)"),
        ("nvhost-gpu", 0, r"^no NVIDIA GPU$"),
    ],
)
def test_a_gpu_whose_driver_fails_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, error: int, problem: str
) -> None:
    (tmp_path / device).touch()
    driver = SimpleNamespace(cuInit=lambda _: error, cuDeviceGetCount=lambda _: 0)
    monkeypatch.setattr(nvidia, "DEVICES", tmp_path)
    monkeypatch.setattr(nvidia.ctypes, "CDLL", lambda _: driver)
    assert re.search(problem, nvidia.gpu_problem.__wrapped__())


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
@pytest.mark.parametrize(
    ("gpu", "fix"),
    [
        ("", "needs .*ExecutionProvider: .*onnxruntime-gpu"),
        ("no NVIDIA GPU", "does not run here, no NVIDIA GPU: use backend auto or openvino$"),
        ("a GPU: reboot", "does not run here, a GPU: reboot: use backend auto or openvino$"),
    ],
)
def test_a_provider_that_is_missing_is_named_with_its_package_where_there_is_a_gpu(
    name: str, gpu: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("silk_ros.backends.onnxruntime.gpu_problem", lambda: gpu)
    with pytest.raises(BackendUnavailable, match=rf"{name} backend {fix}"):
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
