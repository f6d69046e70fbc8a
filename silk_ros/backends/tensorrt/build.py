"""Building TensorRT engines from specialised graphs."""

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
    """The build was given up because it was asked to."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_input: bool


@dataclass(frozen=True)
class Built:
    """A serialised engine, its inputs and outputs, how long it took, and what was measured for the next build."""

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
    """Build the engine of a specialised graph, typed as the graph is.

    timing: of earlier builds. progress: draw a bar. for_this_gpu: TensorRT for RTX, which needs no GPU to build,
    otherwise builds for several kinds of GPU; TensorRT itself always builds for this one. cancel: set it to end the
    build, which a process must wait for before it ends.

    Raises ValueError with TensorRT's words if it refuses the graph or an option, BuildCancelled.
    """
    cancel = cancel or threading.Event()
    # In a thread of its own: an interrupt that arrives in one of TensorRT's calls back into Python would be lost.
    with ThreadPoolExecutor(1, "silk-build") as pool:
        future = pool.submit(_build, network, options, timing, progress, for_this_gpu, cancel)
        try:
            with _builders_freed():
                return future.result()
        except BaseException:
            cancel.set()
            raise


def check_dla(options: EngineOptions, precision: str) -> None:
    """Raise ValueError, saying why, where the DLA asked for cannot be used."""
    if options.dla_core != NO_DLA:
        if precision != "fp16":
            raise ValueError(f"a DLA computes this network in fp16, not {precision}: use precision fp16, or the GPU")
        with _builders_freed():
            _dla_half_flag(_new_builder(Log()), options.dla_core)


@contextlib.contextmanager
def _builders_freed() -> Iterator[None]:
    """Let no error's traceback keep a builder.

    A later garbage collection would free it. In a call back of another builder that is being made, it would wait for
    ever for the lock that TensorRT holds there, and hold Python's own.
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise


def _new_builder(log: Log) -> trt.Builder:
    try:
        return trt.Builder(log)
    except TypeError as error:  # what null becomes
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
    # Types are the graph's own, but for a DLA, which knows only networks whose types TensorRT chooses.
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    parsed = builder.create_network(0 if on_dla else strongly_typed)
    parser = trt.OnnxParser(parsed, log)
    if not parser.parse(network.SerializeToString()):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise ValueError(f"{VERSION} cannot read the graph ({'; '.join(reasons)}): export the network again")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32
    config.builder_optimization_level = options.optimization_level
    if options.workspace_mb:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb * MEGABYTE)
    if on_dla:
        config.set_flag(half_flag)
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)  # for the top-k and what follows it
        config.default_device_type, config.DLA_core = trt.DeviceType.DLA, options.dla_core
    if IS_RTX and for_this_gpu:
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.CURRENT, 0)
    if not IS_RTX:  # that measures nothing when it builds
        config.set_timing_cache(config.create_timing_cache(timing) or config.create_timing_cache(b""), False)
    started = time.monotonic()
    with tqdm(desc="building", unit="step", leave=False, disable=not progress, file=sys.stderr) as bar:
        monitor = _Monitor(bar, cancel)  # TensorRT does not keep it alive
        config.progress_monitor = monitor
        engine = builder.build_serialized_network(parsed, config)
    if cancel.is_set():
        raise BuildCancelled("the engine's build was cancelled")
    if engine is None:
        raise ValueError(f"{VERSION} cannot build the engine: {log.reason}")
    measured = b"" if IS_RTX else _content(config.get_timing_cache().serialize())
    return Built(_content(engine), tuple(_tensors(parsed)), time.monotonic() - started, measured)


def _content(memory: Any) -> bytes:
    return bytes(memory)


def _dla_half_flag(builder: trt.Builder, core: int) -> Any:
    """The flag that lets TensorRT choose float16. Raises ValueError, saying why, where a DLA cannot be used."""
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
    """A progress bar of the build's steps, and its end where one is asked for."""

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
