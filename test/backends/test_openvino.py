from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("openvino")

from silk_ros.backends.openvino import SIZES_KEPT, OpenVinoBackend
from silk_ros.paths import default_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "silk_ros" / "openvino"


def test_auto_takes_bf16_where_the_processor_has_it() -> None:
    import openvino

    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert OpenVinoBackend(default_model(), 10).precision == ("bf16" if has_bf16 else "fp32")


def test_signals_are_survived_after_networks_are_gone() -> None:
    """In a process of its own: OpenVINO frees the stack of signal handlers with its cores."""
    program = """
import signal
from silk_ros.backends.openvino import OpenVinoBackend
from silk_ros.paths import default_model
first, second = (OpenVinoBackend(default_model(), 10) for _ in range(2))
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
        OpenVinoBackend(default_model(), 10, precision)


def test_files_are_refused_as_by_the_other_backends(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file at .*missing.onnx': check model_path"):
        OpenVinoBackend(tmp_path / "missing.onnx", 10)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(default_model().read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"damaged.onnx' is not a usable ONNX file .*: export it again") as caught:
        OpenVinoBackend(damaged, 10)
    assert len(str(caught.value).splitlines()) == 1


def test_compiled_networks_are_kept_on_disk_for_the_user_alone(photo: NDArray[np.uint8], own_cache: Path) -> None:
    image = photo[:48, :64].copy()
    first = OpenVinoBackend(default_model(), 20, "fp32").extract(image)
    blobs = list(own_cache.glob("*.blob"))
    assert len(blobs) == 1 and own_cache.stat().st_mode & 0o077 == 0
    again = OpenVinoBackend(default_model(), 20, "fp32").extract(image)
    assert list(own_cache.glob("*.blob")) == blobs
    np.testing.assert_array_equal(first[0], again[0])


def test_a_damaged_cache_is_not_trusted(photo: NDArray[np.uint8], own_cache: Path) -> None:
    image = photo[:48, :64].copy()
    expected = OpenVinoBackend(default_model(), 20, "fp32").extract(image)
    for blob in own_cache.glob("*.blob"):
        blob.write_bytes(b"\0" * 100)
    found = OpenVinoBackend(default_model(), 20, "fp32").extract(image)
    np.testing.assert_array_equal(found[0], expected[0])


def test_no_place_for_a_cache_is_said_and_lived_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, photo: NDArray[np.uint8]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        backend = OpenVinoBackend(default_model(), 20)
    assert "no cache for compiled networks" in caplog.text
    assert len(backend.extract(photo[:48, :64].copy())[0]) == 20


def test_only_the_last_sizes_stay_compiled(photo: NDArray[np.uint8]) -> None:
    backend = OpenVinoBackend(default_model(), 20)
    for width in range(40, 40 + 2 * SIZES_KEPT):
        backend.extract(photo[:30, :width].copy())
    assert len(backend._requests) == SIZES_KEPT
