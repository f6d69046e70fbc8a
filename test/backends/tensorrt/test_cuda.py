from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("cuda")

from silk_ros.backends import BackendUnavailable
from silk_ros.backends.tensorrt import cuda


def test_no_gpu_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "call", lambda name: 0)
    with pytest.raises(BackendUnavailable, match=r"needs an NVIDIA GPU: use backend auto or openvino here"):
        cuda.gpu()

    def fail(name: str) -> int:
        raise RuntimeError(f"{name}: no CUDA-capable device is detected")

    monkeypatch.setattr(cuda, "call", fail)
    with pytest.raises(BackendUnavailable, match=r"its driver \(cudaGetDeviceCount: no CUDA-capable device"):
        cuda.gpu()


def test_a_failed_call_is_named_in_cudas_own_words() -> None:
    with pytest.raises(RuntimeError, match=r"^cudaSetDevice: \w+"):
        cuda.call("cudaSetDevice", 10_000)


def test_a_call_gives_its_results() -> None:
    assert isinstance(cuda.call("cudaRuntimeGetVersion"), int)


def test_memory_is_freed_with_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[int] = []
    monkeypatch.setattr(cuda, "call", lambda name, *_: 4096)
    monkeypatch.setattr(cuda, "runtime", lambda: SimpleNamespace(cudaFree=freed.append))
    memory = cuda.Memory(8)
    assert memory.address == 4096 and not freed
    del memory
    assert freed == [4096]


@pytest.mark.gpu
def test_the_gpu_has_a_name_and_a_capability() -> None:
    found = cuda.gpu()
    assert found.name and "\0" not in found.name
    major, minor = found.compute_capability.split(".")
    assert int(major) >= 5 and minor.isdecimal()


@pytest.mark.gpu
def test_what_goes_up_comes_down() -> None:
    stream = cuda.Stream()
    source, target = (cuda.PinnedArray((3, 5), np.float32) for _ in range(2))
    memory, other = cuda.Memory(source.size), cuda.Memory(source.size)
    source.array[:] = np.arange(15).reshape(3, 5)
    target.array[:] = -1
    stream.upload(source, memory)
    stream.copy(memory, other)
    stream.download(other, target)
    stream.wait()
    np.testing.assert_array_equal(target.array, source.array)


@pytest.mark.gpu
def test_memory_starts_at_zero() -> None:
    stream, target = cuda.Stream(), cuda.PinnedArray((1000,), np.uint8)
    target.array[:] = 7
    stream.download(cuda.Memory(1000), target)
    stream.wait()
    assert not target.array.any()


@pytest.mark.gpu
def test_recorded_work_is_done_at_each_launch() -> None:
    stream = cuda.Stream()
    source, target = (cuda.PinnedArray((4,), np.uint8) for _ in range(2))
    memory = cuda.Memory(4)

    def work() -> None:
        stream.upload(source, memory)
        stream.download(memory, target)

    graph = stream.record(work)
    for value in (1, 2):
        source.array[:] = value
        graph.launch()
        stream.wait()
        assert (target.array == value).all()


@pytest.mark.gpu
def test_work_that_fails_while_it_is_recorded_is_raised() -> None:
    stream = cuda.Stream()

    def work() -> None:
        raise RuntimeError("cannot be recorded")

    with pytest.raises(RuntimeError, match="cannot be recorded"):
        stream.record(work)
    stream.wait()
