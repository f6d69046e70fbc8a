"""CUDA memory, streams and graphs for TensorRT, through NVIDIA's cuda-python."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..base import BackendUnavailable


def runtime() -> ModuleType:
    """CUDA's runtime bindings. Raises BackendUnavailable, naming the package, without them."""
    try:
        from cuda.bindings import runtime as bindings
    except ImportError:
        try:
            from cuda import cudart as bindings  # before cuda-python 12.6
        except ImportError as error:
            raise BackendUnavailable(
                "the tensorrt backend needs cuda-python: pip install 'silk_ros[tensorrt]' "
                "(its major version must be the driver's: 12 for JetPack 6)"
            ) from error
    return bindings


def call(name: str, *arguments: Any) -> Any:
    """Call a function of CUDA's runtime. Raises RuntimeError with CUDA's message if it fails."""
    bindings = runtime()
    error, *results = getattr(bindings, name)(*arguments)
    if int(error):
        _, message = bindings.cudaGetErrorString(error)
        raise RuntimeError(f"{name}: {message.decode() if isinstance(message, bytes) else message}")
    return results[0] if len(results) == 1 else tuple(results)


@dataclass(frozen=True)
class Gpu:
    """The GPU that runs engines: the first in the order of CUDA_VISIBLE_DEVICES."""

    name: str
    compute_capability: str  # "8.7"


def gpu() -> Gpu:
    """The GPU of this machine. Raises BackendUnavailable with the reason if CUDA can use none."""
    try:
        count = call("cudaGetDeviceCount")
    except RuntimeError as error:
        raise BackendUnavailable(
            f"the tensorrt backend needs an NVIDIA GPU and its driver ({error}): install the driver, with a driver "
            "older than CUDA 13 also 'cuda-python==12.*', or use backend auto or openvino here"
        ) from error
    if not count:
        raise BackendUnavailable("the tensorrt backend needs an NVIDIA GPU: use backend auto or openvino here")
    properties = call("cudaGetDeviceProperties", 0)
    name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
    return Gpu(name.rstrip("\0"), f"{properties.major}.{properties.minor}")


def _release_with(owner: object, name: str, resource: Any) -> None:
    """Release a resource by a function of the runtime when its owner is deleted; at the process's end CUDA does it."""
    weakref.finalize(owner, getattr(runtime(), name), resource).atexit = False


class Memory:
    """A zeroed buffer in GPU memory, freed with the object."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.address = int(call("cudaMalloc", size))
        _release_with(self, "cudaFree", self.address)
        call("cudaMemset", self.address, 0, size)
        call("cudaDeviceSynchronize")  # other streams do not wait for the memset


class PinnedArray:
    """An array in page-locked host memory, which the GPU reads and writes directly; freed with the object."""

    def __init__(self, shape: Sequence[int], dtype: DTypeLike) -> None:
        self.size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.address = int(call("cudaMallocHost", self.size))
        _release_with(self, "cudaFreeHost", self.address)
        raw = (ctypes.c_uint8 * self.size).from_address(self.address)
        self.array: NDArray[Any] = np.ctypeslib.as_array(raw).view(dtype).reshape(shape)


class Stream:
    """A CUDA stream: a queue of work for the GPU."""

    def __init__(self) -> None:
        self.handle = call("cudaStreamCreateWithFlags", runtime().cudaStreamNonBlocking)
        _release_with(self, "cudaStreamDestroy", self.handle)

    def upload(self, source: PinnedArray, target: Memory) -> None:
        kind = runtime().cudaMemcpyKind.cudaMemcpyHostToDevice
        call("cudaMemcpyAsync", target.address, source.address, source.size, kind, self.handle)

    def download(self, source: Memory, target: PinnedArray) -> None:
        kind = runtime().cudaMemcpyKind.cudaMemcpyDeviceToHost
        call("cudaMemcpyAsync", target.address, source.address, target.size, kind, self.handle)

    def copy(self, source: Memory, target: Memory) -> None:
        """Copy the first target.size bytes."""
        kind = runtime().cudaMemcpyKind.cudaMemcpyDeviceToDevice
        call("cudaMemcpyAsync", target.address, source.address, target.size, kind, self.handle)

    def wait(self) -> None:
        call("cudaStreamSynchronize", self.handle)

    def record(self, work: Callable[[], None]) -> Graph:
        """A CUDA graph of the work that a function puts on this stream. Raises RuntimeError if recording fails."""
        bindings = runtime()
        call("cudaStreamBeginCapture", self.handle, bindings.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            work()
        except BaseException:
            bindings.cudaStreamEndCapture(self.handle)
            bindings.cudaGetLastError()  # clears the error, which the next call would report otherwise
            raise
        return Graph(self, call("cudaStreamEndCapture", self.handle))


class Graph:
    """A CUDA graph: recorded work that takes one launch instead of one for each kernel and copy."""

    def __init__(self, stream: Stream, graph: Any) -> None:
        self._stream = stream
        self._executable = call("cudaGraphInstantiate", graph, 0)
        _release_with(self, "cudaGraphExecDestroy", self._executable)
        runtime().cudaGraphDestroy(graph)

    def launch(self) -> None:
        call("cudaGraphLaunch", self._executable, self._stream.handle)
