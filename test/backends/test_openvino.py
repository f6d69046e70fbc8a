from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("openvino")

from silk_ros.backends import openvino, processor, speed
from silk_ros.backends.model import Model, int8_path
from silk_ros.backends.openvino import SIZES_KEPT, OpenVinoBackend
from silk_ros.paths import default_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "silk_ros" / "openvino"


def sets(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have the processor's instruction sets be these."""
    monkeypatch.setattr(processor, "instruction_sets", lambda: ", ".join(names))


def times(monkeypatch: pytest.MonkeyPatch, **milliseconds: float) -> list[str]:
    """Have networks take these times; returns a list of what is measured."""
    measured: list[str] = []
    monkeypatch.setattr(speed, "measure", lambda runs: [measured.extend(runs), milliseconds][1])
    return measured


def offer(monkeypatch: pytest.MonkeyPatch, *capabilities: str) -> None:
    """Have OpenVINO offer these precisions."""

    class Core:
        get_property = staticmethod(lambda *_: list(capabilities))
        read_model, compile_model = openvino._CORE.read_model, openvino._CORE.compile_model

    monkeypatch.setattr(openvino, "_CORE", Core)


def test_auto_takes_bf16_where_the_processor_computes_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sets(monkeypatch, "AVX-512", "VNNI", "bf16")
    offer(monkeypatch, "FP32", "INT8", "BF16")
    measured = times(monkeypatch, fp32=10, int8=2)
    backend = OpenVinoBackend(Model(default_model()), 10)
    assert (backend.precision, backend.reason, measured) == (
        "bf16",
        "this processor (AVX-512, VNNI, bf16) computes in it",
        [],
    )


@pytest.mark.parametrize("offered", [("FP32", "INT8"), ("FP32", "INT8", "BF16")])
@pytest.mark.parametrize(
    ("int8", "chosen", "reason"),
    [(5.0, "int8", "int8 is 2.0 times as fast"), (9.5, "fp32", "int8 is only 1.05 times as fast")],
)
def test_without_bf16_auto_takes_int8_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch, offered: tuple[str, ...], int8: float, chosen: str, reason: str
) -> None:
    """OpenVINO offers to emulate bfloat16 with AVX-512, and runs at a third of the speed then."""
    sets(monkeypatch, "AVX-512")
    offer(monkeypatch, *offered)
    measured = times(monkeypatch, fp32=10.0, int8=int8)
    backend = OpenVinoBackend(Model(default_model()), 10)
    assert backend.precision == chosen and backend.reason.startswith(reason)
    assert "as fp32 on this processor (AVX-512)" in backend.reason
    assert measured == ["fp32", "int8"]
    assert OpenVinoBackend(Model(default_model()), 10).precision == chosen and len(measured) == 2, "it is remembered"


def test_what_is_measured_really_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both networks are run, and neither's failure costs more than the choice."""
    sets(monkeypatch, "AVX2")
    ran = []

    def measure(runs: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
        for name, run in runs.items():
            keypoints, scores, _ = run().values()
            ran.append((name, keypoints.shape, scores.shape))
        return {"fp32": 2.0, "int8": 1.0}

    monkeypatch.setattr(speed, "measure", measure)
    assert OpenVinoBackend(Model(default_model()), 10).precision == "int8"
    assert ran == [(name, (1, 1000, 2), (1, 1000)) for name in ("fp32", "int8")]


def test_an_int8_network_that_does_not_run_leaves_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    sets(monkeypatch, "AVX2")

    def fail(*_: object) -> None:
        raise RuntimeError("Exception from somewhere:\nno such primitive\n")

    monkeypatch.setattr(speed, "measure", fail)
    backend = OpenVinoBackend(Model(default_model()), 10)
    assert (backend.precision, backend.reason) == ("fp32", "int8 does not run here: no such primitive")


def test_a_model_without_a_usable_int8_version_stays_fp32_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets(monkeypatch, "AVX2")
    model = tmp_path / "own.onnx"
    model.write_bytes(default_model().read_bytes())
    backend = OpenVinoBackend(Model(model), 10)
    assert backend.precision == "fp32" and "own_int8.onnx': the quantize command makes one" in backend.reason
    int8_path(model).write_bytes(model.read_bytes())
    backend = OpenVinoBackend(Model(model), 10)
    assert backend.precision == "fp32" and "own_int8.onnx' is not quantised" in backend.reason
    int8_path(model).write_bytes(int8_path(default_model()).read_bytes()[:-200])
    backend = OpenVinoBackend(Model(model), 10)
    assert backend.precision == "fp32" and "own_int8.onnx' is not a usable ONNX file" in backend.reason


def test_bf16_is_refused_where_it_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    sets(monkeypatch, "AVX-512", "VNNI")
    with pytest.raises(ValueError, match="this processor has no bfloat16: use precision auto, fp32 or int8"):
        OpenVinoBackend(Model(default_model()), 10, "bf16")


def test_a_processor_that_openvino_refuses_is_left_to_onnx_runtime(caplog: pytest.LogCaptureFixture) -> None:
    """In a process of its own, limited to instructions that OpenVINO has no code for."""
    program = """
import logging, sys
from silk_ros import Extractor
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
print(Extractor.load(max_keypoints=10).backend.name)
"""
    limited = {**os.environ, processor.LIMIT: "SSE41"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=limited)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "onnxruntime"
    assert "; OpenVINO does not run the network on this processor" in done.stdout
    assert "SSE4.1 (limited by ONEDNN_MAX_CPU_ISA)" in done.stdout or "NEON" in done.stdout


def test_signals_are_survived_after_networks_are_gone() -> None:
    """In a process of its own: OpenVINO frees the stack of signal handlers with its cores."""
    program = """
import signal
from silk_ros.backends.model import Model
from silk_ros.backends.openvino import OpenVinoBackend
from silk_ros.paths import default_model
first, second = (OpenVinoBackend(Model(default_model()), 10) for _ in range(2))
del first, second
received = []
signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
signal.raise_signal(signal.SIGUSR1)
print(len(received))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@pytest.mark.parametrize("precision", ["fp16", "FP32", ""])
def test_an_unknown_precision_lists_the_choices(precision: str) -> None:
    with pytest.raises(ValueError, match=f"unknown precision '{precision}' .*: use one of auto, fp32, bf16, int8"):
        OpenVinoBackend(Model(default_model()), 10, precision)


def test_files_are_refused_as_by_the_other_backends(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file at .*missing.onnx': check model_path"):
        OpenVinoBackend(Model(tmp_path / "missing.onnx"), 10)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(default_model().read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"damaged.onnx' is not a usable ONNX file .*: export it again") as caught:
        OpenVinoBackend(Model(damaged), 10)
    assert len(str(caught.value).splitlines()) == 1


def test_compiled_networks_are_kept_on_disk_for_the_user_alone(photo: NDArray[np.uint8], own_cache: Path) -> None:
    image = photo[:48, :64].copy()
    first = OpenVinoBackend(Model(default_model()), 20, "fp32").extract(image)
    blobs = list(own_cache.glob("*.blob"))
    assert len(blobs) == 1 and own_cache.stat().st_mode & 0o077 == 0
    again = OpenVinoBackend(Model(default_model()), 20, "fp32").extract(image)
    assert list(own_cache.glob("*.blob")) == blobs
    np.testing.assert_array_equal(first[0], again[0])


def test_a_damaged_cache_is_not_trusted(photo: NDArray[np.uint8], own_cache: Path) -> None:
    image = photo[:48, :64].copy()
    expected = OpenVinoBackend(Model(default_model()), 20, "fp32").extract(image)
    for blob in own_cache.glob("*.blob"):
        blob.write_bytes(b"\0" * 100)
    found = OpenVinoBackend(Model(default_model()), 20, "fp32").extract(image)
    np.testing.assert_array_equal(found[0], expected[0])


def test_no_place_for_a_cache_is_said_and_lived_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, photo: NDArray[np.uint8]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        backend = OpenVinoBackend(Model(default_model()), 20)
    assert "no cache for compiled networks" in caplog.text
    assert len(backend.extract(photo[:48, :64].copy())[0]) == 20


def test_only_the_last_sizes_stay_compiled(photo: NDArray[np.uint8]) -> None:
    backend = OpenVinoBackend(Model(default_model()), 20)
    for width in range(40, 40 + 2 * SIZES_KEPT):
        backend.extract(photo[:30, :width].copy())
    assert len(backend._requests) == SIZES_KEPT
