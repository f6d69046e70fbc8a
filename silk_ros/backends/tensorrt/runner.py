"""Execution of an engine: upload, network, matching and download of a frame, with one wait.

All memory is allocated once. The descriptors of an image stay on the GPU, where the next image is matched with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import Extracted, Matched
from ..model import OUTPUTS
from .cuda import Graph, Memory, PinnedArray, Stream
from .graph import IMAGE, PARTNER, PREVIOUS, SIMILARITY
from .library import IS_RTX, VERSION, Log, trt

log = logging.getLogger(__name__)


class EngineRunner:
    """An engine with its buffers. `outputs` are arrays in pinned memory that the next run overwrites."""

    def __init__(self, engine: bytes, use_graph: bool = True) -> None:
        """Raises ValueError if this machine's TensorRT rejects the engine, RuntimeError if CUDA fails."""
        self._log = Log()
        try:
            self._runtime = trt.Runtime(self._log)
        except TypeError as error:  # the bindings raise it for a null pointer
            raise RuntimeError(f"{VERSION} does not start: {self._log.reason}") from error
        loaded = self._runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise ValueError(f"{VERSION} does not take the engine: {self._log.reason}")
        self._engine = loaded
        self._context = _new_context(loaded, use_graph)
        if self._context is None:
            raise RuntimeError(f"no memory to run the engine: {self._log.reason}")
        self._stream = Stream()
        self.outputs: dict[str, NDArray[Any]] = {}
        self._pinned: dict[str, PinnedArray] = {}
        self._memory: dict[str, Memory] = {}
        for index in range(loaded.num_io_tensors):
            name = loaded.get_tensor_name(index)
            shape: Any = loaded.get_tensor_shape(name)
            dtype = np.dtype(trt.nptype(loaded.get_tensor_dtype(name)))
            self._memory[name] = Memory(int(np.prod(tuple(shape))) * dtype.itemsize)
            if name != PREVIOUS:
                self._pinned[name] = PinnedArray(tuple(shape), dtype)
            if name not in (IMAGE, PREVIOUS):
                self.outputs[name] = self._pinned[name].array
            self._context.set_tensor_address(name, self._memory[name].address)
        self._image = self._pinned[IMAGE].array
        self._graph: Graph | None = None
        self.uses_graph = use_graph
        self._launch()  # TensorRT allocates, and TensorRT for RTX compiles, at the first run
        self._stream.wait()
        if use_graph and not IS_RTX:
            try:
                self._graph = self._stream.record(self._launch)
            except RuntimeError as error:
                self.uses_graph = False
                log.warning("no CUDA graph (%s): every kernel is launched separately, which takes longer", error)

    def run(self, image: NDArray[np.uint8]) -> None:
        """Compute `outputs` of a grey image (H, W), matched with the image of the last run."""
        np.copyto(self._image, image)
        if self._graph is not None:
            self._graph.launch()
        else:
            self._launch()
        self._stream.wait()

    def extracted(self) -> Extracted:
        """Features of the last image, as views of `outputs`."""
        keypoints, scores, descriptors = (self.outputs[name][0] for name in OUTPUTS)
        return keypoints, scores, descriptors

    def matched(self) -> Matched:
        """Mutual nearest neighbours of the last two images."""
        partner = self.outputs[PARTNER]
        rows = np.flatnonzero(partner >= 0)
        return np.stack([rows, partner[rows]], axis=1).astype(np.int32), self.outputs[SIMILARITY][rows]

    def _launch(self, mark: Callable[[], object] = lambda: None) -> None:
        """Put one frame's work on the stream, with a call of `mark` before, between and after its three stages."""
        mark()
        self._stream.upload(self._pinned[IMAGE], self._memory[IMAGE])
        mark()
        if not self._context.execute_async_v3(int(self._stream.handle)):
            raise RuntimeError(f"TensorRT failed: {self._log.reason}")
        mark()
        for name in self.outputs:
            self._stream.download(self._memory[name], self._pinned[name])
        self._stream.copy(self._memory["descriptors"], self._memory[PREVIOUS])
        mark()


def _new_context(engine: trt.ICudaEngine, use_graph: bool) -> Any:
    """An execution context; TensorRT for RTX compiles kernels as it runs, and records CUDA graphs itself."""
    if not IS_RTX:
        return engine.create_execution_context()
    rtx: Any = trt
    config: Any = engine.create_runtime_config()
    strategies = rtx.CudaGraphStrategy
    config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE if use_graph else strategies.DISABLED
    return engine.create_execution_context(config)
