"""TensorRT for `benchmarks.gpu`: engines built and checked as the node builds them, with and without CUDA graph."""

from __future__ import annotations

import itertools
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from silk_ros.backends import EngineOptions
from silk_ros.backends.model import Model
from silk_ros.backends.tensorrt.cuda import call, runtime
from silk_ros.paths import default_model

if TYPE_CHECKING:
    from silk_ros.backends.tensorrt.runner import EngineRunner

MEGABYTE = 2**20
TRIAL_SECONDS = 300
TRIAL_SIZE, TRIAL_KEYPOINTS = (96, 128), 100  # height and width

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Workload:
    """The image size in pixels and the number of keypoints of one measurement."""

    width: int
    height: int
    keypoints: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, K = {self.keypoints}"


class Engines:
    """TensorRT engines, each built once; failures are remembered too. `facts` tell how the engines were built."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []
        # An engine or the reason why there is none: text, because an exception keeps its frames and their GPU memory.
        self._made: dict[tuple[str, Workload], bytes | str] = {}
        self._refusals: dict[str, str] = {}  # by precision; empty if the trial succeeded

    def get(self, precision: str, setting: Workload) -> bytes:
        """The serialised engine. Raises RuntimeError with the reason if there is none in this precision."""
        key = precision, setting
        if key not in self._made:
            try:
                self._made[key] = self._build(precision, setting)
            except Exception as error:
                self._made[key] = str(error) or type(error).__name__
        made = self._made[key]
        if isinstance(made, str):
            raise RuntimeError(made)
        return made

    def _build(self, precision: str, setting: Workload) -> bytes:
        from silk_ros.backends.tensorrt.backend import TensorRtBackend

        if precision not in self._refusals:
            self._refusals[precision] = try_in_child(precision)
        if self._refusals[precision]:
            raise RuntimeError(self._refusals[precision])
        backend = TensorRtBackend(Model(default_model()), setting.keypoints, precision)
        with _warnings() as logged:
            prepared = backend.prepare(setting.height, setting.width)
        if prepared.precision != precision:
            raise ValueError("; ".join(text for text in logged if "instead" in text))
        if prepared.path is None:
            raise RuntimeError("the engine was not kept: there is no usable cache folder")
        engine = prepared.path.read_bytes().split(b"\n", 2)[2]  # after the two lines of the header
        size = {"megabytes": round(len(engine) / MEGABYTE, 2)}
        self.facts.append({"precision": precision, "setting": asdict(setting), **size, **prepared.facts})
        return engine


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collects the warnings of the backends inside the context."""
    logged: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("silk_ros.backends")
    logger.addHandler(handler)
    try:
        yield logged
    finally:
        logger.removeHandler(handler)


def try_engine(precision: str) -> None:
    """Build and run a small engine. Raises, or crashes the process, if TensorRT does not support the GPU."""
    from silk_ros.backends.onnx_graph import read_network
    from silk_ros.backends.tensorrt.build import build
    from silk_ros.backends.tensorrt.graph import specialise
    from silk_ros.backends.tensorrt.runner import EngineRunner

    network = read_network(Model(default_model()).file(precision))
    graph = specialise(network, *TRIAL_SIZE, TRIAL_KEYPOINTS, precision != "fp32")
    EngineRunner(build(graph, EngineOptions(), for_this_gpu=True).engine).run(np.zeros(TRIAL_SIZE, np.uint8))


def try_in_child(precision: str) -> str:
    """The reason why a small engine does not run here, or "". A child process tries it: it may crash on a new GPU."""
    command = [sys.executable, "-m", "benchmarks.gpu.tensorrt_stages", precision]
    root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"a small engine was not built and run in {TRIAL_SECONDS} s"
    if not done.returncode:
        return ""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    last = lines[-1] if lines else f"exit status {done.returncode}"
    if done.returncode > 0:
        return last
    return f"TensorRT crashed its process: {signal.Signals(-done.returncode).name} ({last})"


class TensorRtRunner:
    """An engine with the network, the selection and the matching."""

    def __init__(self, engines: Engines, precision: str, use_graph: bool, setting: Workload) -> None:
        engine = engines.get(precision, setting)
        from silk_ros.backends.tensorrt.runner import EngineRunner

        with _warnings() as logged:
            self.engine: EngineRunner = EngineRunner(engine, use_graph)
        if self.engine.uses_graph != use_graph:
            raise ValueError("; ".join(logged) or "TensorRT for RTX records CUDA graphs by itself")
        self.run = self.engine.run

    def counts(self) -> tuple[int, int]:
        return len(self.engine.extracted()[0]), len(self.engine.matched()[0])

    def measure_stages(self, images: Sequence[Image], repeats: int) -> dict[str, float | str]:
        """Milliseconds of a frame's stages on the GPU, medians by CUDA events; `by` tells how the frame was launched.

        Without a CUDA graph the gaps between launches are included.
        """
        own = self.engine
        events = [call("cudaEventCreate") for _ in range(4)]
        recorded = own._graph is not None
        flags = runtime().cudaEventRecordExternal if recorded else runtime().cudaEventRecordDefault

        def launch() -> None:
            marks = iter(events)
            own._launch(lambda: call("cudaEventRecordWithFlags", next(marks), own._stream.handle, flags))

        run = own._stream.record(launch).launch if recorded else launch
        times = []
        for repeat in range(repeats):
            np.copyto(own._image, images[repeat % len(images)])
            run()
            own._stream.wait()
            times.append([call("cudaEventElapsedTime", a, b) for a, b in itertools.pairwise(events)])
        for event in events:
            call("cudaEventDestroy", event)
        upload, engine, download = np.median(times, axis=0).round(4).tolist()
        by = "one CUDA graph" if recorded else "single launches"
        return {"upload": upload, "engine": engine, "download": download, "by": by}


if __name__ == "__main__":
    try:
        try_engine(sys.argv[1])
    except Exception as reason:
        sys.exit(print(" ".join(str(reason).split())) or 1)
