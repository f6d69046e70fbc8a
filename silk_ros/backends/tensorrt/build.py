"""Builds of TensorRT engines from specialised graphs."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsInt

from tqdm import tqdm

from ..base import NO_DLA, BackendUnavailable, EngineOptions
from .library import IS_RTX, VERSION, Log, trt

if TYPE_CHECKING:
    import onnx

MEGABYTE = 1 << 20


class BuildCancelled(RuntimeError):
    """The build was cancelled by the caller."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_input: bool


@dataclass(frozen=True)
class Built:
    """A serialised engine, its inputs and outputs, the build time, and TensorRT's timing cache for the next build."""

    engine: bytes
    tensors: tuple[Tensor, ...]
    seconds: float
    timing: bytes


def build(
    network: onnx.ModelProto,
    options: EngineOptions,
    timing: bytes = b"",
    progress: bool = False,
    for_this_gpu: bool = False,
    cancel: threading.Event | None = None,
) -> Built:
    """Build the engine of a specialised graph, in the types of the graph.

    timing:       timing cache of an earlier build.
    progress:     whether to draw a bar.
    for_this_gpu: whether TensorRT for RTX builds for this GPU only; else it needs no GPU and builds for several kinds.
                  TensorRT itself always builds for this one.
    cancel:       set it to end the build; a process must end its builds before it exits.

    Raises ValueError with TensorRT's message if it refuses the graph or an option, and BuildCancelled.
    """
    cancel = cancel or threading.Event()
    # In a separate thread: an interrupt that arrives during one of TensorRT's callbacks into Python would be lost.
    with ThreadPoolExecutor(1, "silk-build") as pool:
        future = pool.submit(_build, network, options, timing, progress, for_this_gpu, cancel)
        try:
            with _builders_freed():
                return future.result()
        except BaseException:
            cancel.set()
            raise


def check_dla(options: EngineOptions, precision: str) -> None:
    """Raise ValueError with the reason if the DLA in `options` cannot be used."""
    if options.dla_core != NO_DLA:
        if precision != "fp16":
            raise ValueError(f"a DLA computes this network in fp16, not {precision}: use precision fp16, or the GPU")
        with _builders_freed():
            _dla_half_flag(_new_builder(Log()), options.dla_core)


@contextlib.contextmanager
def _builders_freed() -> Iterator[None]:
    """Free the builders that the traceback of an error refers to.

    A later garbage collection would free them otherwise. If it ran in a callback of another builder, it would deadlock:
    it holds Python's lock and waits for the lock that TensorRT holds during the callback.
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise


def _new_builder(log: Log) -> trt.Builder:
    try:
        return trt.Builder(log)
    except TypeError as error:  # the bindings raise it for a null pointer
        raise BackendUnavailable(f"{VERSION} does not start: {log.reason}") from error


def _build(
    network: onnx.ModelProto,
    options: EngineOptions,
    timing: bytes,
    progress: bool,
    for_this_gpu: bool,
    cancel: threading.Event,
) -> Built:
    log = Log()
    builder = _new_builder(log)
    on_dla = options.dla_core != NO_DLA
    half_flag: Any = _dla_half_flag(builder, options.dla_core) if on_dla else None
    # The types are those of the graph, except on a DLA, which supports only networks whose types TensorRT chooses.
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    parsed = builder.create_network(0 if on_dla else strongly_typed)
    parser = trt.OnnxParser(parsed, log)
    if not parser.parse(network.SerializeToString()):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise ValueError(f"{VERSION} cannot read the graph ({'; '.join(reasons)}): export the network again")
    config = _configure(builder, options, timing, for_this_gpu)
    if on_dla:
        config.set_flag(half_flag)
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)  # for the top-k and the layers after it
        config.default_device_type, config.DLA_core = trt.DeviceType.DLA, options.dla_core
    started = time.monotonic()
    with tqdm(desc="building", unit="step", leave=False, disable=not progress, file=sys.stderr) as bar:
        monitor = _Monitor(bar, cancel)  # the local name keeps it alive; TensorRT does not
        config.progress_monitor = monitor
        engine = builder.build_serialized_network(parsed, config)
    if cancel.is_set():
        raise BuildCancelled("the engine's build was cancelled")
    if engine is None:
        raise ValueError(f"{VERSION} cannot build the engine: {log.reason}")
    measured: Any = b"" if IS_RTX else config.get_timing_cache().serialize()
    content: Any = engine
    return Built(bytes(content), tuple(_tensors(parsed)), time.monotonic() - started, bytes(measured))


def _configure(builder: trt.Builder, options: EngineOptions, timing: bytes, for_this_gpu: bool) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # full float32
    config.builder_optimization_level = options.optimization_level
    if options.workspace_mb:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb * MEGABYTE)
    if IS_RTX and for_this_gpu:
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.CURRENT, 0)
    if not IS_RTX:  # TensorRT for RTX measures no kernels when it builds
        config.set_timing_cache(config.create_timing_cache(timing) or config.create_timing_cache(b""), False)
    return config


def _dla_half_flag(builder: trt.Builder, core: int) -> Any:
    """The flag that lets TensorRT choose float16. Raises ValueError with the reason if the DLA cannot be used."""
    if core >= builder.num_DLA_cores:
        raise ValueError(
            f"there is no DLA core {core}, this machine has {builder.num_DLA_cores}: use dla_core {NO_DLA}, the GPU"
        )
    flag = getattr(trt.BuilderFlag, "FP16", None)
    if flag is None:
        raise ValueError(
            f"{VERSION} cannot build this network for a DLA, as TensorRT up to 10.7 can: use dla_core {NO_DLA}, the GPU"
        )
    return flag


def _tensors(network: trt.INetworkDefinition) -> Iterator[Tensor]:
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    for tensor in inputs + outputs:
        shape: Any = tensor.shape
        yield Tensor(tensor.name, tuple(shape), str(tensor.dtype).rpartition(".")[2], is_input=tensor in inputs)


class _Monitor(trt.IProgressMonitor):
    """Draws a progress bar of the build's steps, and ends the build when `cancel` is set."""

    def __init__(self, bar: tqdm, cancel: threading.Event) -> None:
        super().__init__()
        self._bar, self._cancel = bar, cancel

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: SupportsInt) -> None:
        self._bar.total = (self._bar.total or 0) + int(num_steps)
        self._bar.set_postfix_str(phase_name, refresh=False)

    def step_complete(self, phase_name: str, step: SupportsInt) -> bool:
        self._bar.update()
        return not self._cancel.is_set()  # False ends the build

    def phase_finish(self, phase_name: str) -> None:
        pass
