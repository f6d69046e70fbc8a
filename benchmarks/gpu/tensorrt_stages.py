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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from silk_ros.backends import EngineOptions
from silk_ros.backends.model import model_file
from silk_ros.backends.tensorrt.cuda import call, runtime
from silk_ros.paths import default_model

if TYPE_CHECKING:
    from silk_ros.backends.tensorrt.runner import Pipeline

MEGABYTE = 2**20
TRIAL_SECONDS = 300
TRIAL_SIZE, TRIAL_KEYPOINTS = (96, 128), 100  # height and width

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Setting:
    """Size of the image in pixels, and how many keypoints are wanted."""

    width: int
    height: int
    keypoints: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, K = {self.keypoints}"


class Engines:
    """TensorRT engines, each built once; that one cannot be built is remembered too. `facts` say how they were made."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []
        # Or why there is none: an exception would keep alive what it came through, GPU memory among it.
        self._made: dict[tuple[str, Setting], bytes | str] = {}
        self._refusals: dict[str, str] = {}  # by precision; empty if a trial went well

    def get(self, precision: str, setting: Setting) -> bytes:
        """The serialised engine. Raises RuntimeError, saying why, if there is none in this precision."""
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

    def _build(self, precision: str, setting: Setting) -> bytes:
        from silk_ros.backends.tensorrt.backend import TensorRtBackend

        if precision not in self._refusals:
            self._refusals[precision] = try_in_child(precision)
        if self._refusals[precision]:
            raise RuntimeError(self._refusals[precision])
        backend = TensorRtBackend(default_model(), setting.keypoints, precision)
        with _warnings() as said:
            prepared = backend.prepare(setting.height, setting.width)
        if prepared.precision != precision:
            raise ValueError("; ".join(text for text in said if "instead" in text))
        if prepared.path is None:
            raise RuntimeError("the engine was not kept: there is no usable cache folder")
        engine = prepared.path.read_bytes().split(b"\n", 2)[2]  # after two lines that say what it is
        size = {"megabytes": round(len(engine) / MEGABYTE, 2)}
        self.facts.append({"precision": precision, "setting": asdict(setting), **size, **prepared.facts})
        return engine


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the backends warn of meanwhile."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("silk_ros.backends")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


def try_engine(precision: str) -> None:
    """Build and run a small engine. Raises, or takes the process with it, where TensorRT does not take the chip."""
    from silk_ros.backends.onnx_graph import read_network
    from silk_ros.backends.tensorrt.build import build
    from silk_ros.backends.tensorrt.graph import specialise
    from silk_ros.backends.tensorrt.runner import Pipeline

    network = read_network(model_file(default_model(), precision))
    graph = specialise(network, *TRIAL_SIZE, TRIAL_KEYPOINTS, precision != "fp32")
    Pipeline(build(graph, EngineOptions(), for_this_gpu=True).engine).run(np.zeros(TRIAL_SIZE, np.uint8))


def try_in_child(precision: str) -> str:
    """Why a small engine does not run here; empty if it does. In a process of its own: it may crash on a new chip."""
    command = [sys.executable, "-m", "benchmarks.gpu.tensorrt_stages", precision]
    root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"a small engine was not built and run in {TRIAL_SECONDS} s"
    if not done.returncode:
        return ""
    said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    last = said[-1] if said else f"exit status {done.returncode}"
    if done.returncode > 0:
        return last
    return f"TensorRT took its process with it: {signal.Signals(-done.returncode).name} ({last})"


class TensorRtRunner:
    """An engine with the network, the selection and the matching."""

    def __init__(self, engines: Engines, precision: str, use_graph: bool, setting: Setting) -> None:
        engine = engines.get(precision, setting)
        from silk_ros.backends.tensorrt.graph import PARTNER
        from silk_ros.backends.tensorrt.runner import Pipeline

        with _warnings() as said:
            self.pipeline: Pipeline = Pipeline(engine, use_graph)
        if self.pipeline.uses_graph != use_graph:
            raise ValueError("; ".join(said) or "TensorRT for RTX records CUDA graphs by itself")
        self.run = self.pipeline.run
        self._partner = self.pipeline.outputs[PARTNER]

    def counts(self) -> tuple[int, int]:
        return len(self._partner), int((self._partner >= 0).sum())

    def measure_stages(self, images: Sequence[Image], repeats: int) -> dict[str, float | str]:
        """Milliseconds that a frame takes on the GPU: medians by CUDA's events, and between what they were recorded.

        Without a graph of our own the gaps between launches count as well.
        """
        from silk_ros.backends.tensorrt.graph import IMAGE, PREVIOUS
        from silk_ros.backends.tensorrt.runner import DESCRIPTORS

        own = self.pipeline
        stream, host, device = own._stream, own._pinned, own._memory
        events = [call("cudaEventCreate") for _ in range(4)]
        recorded = own._graph is not None
        flags = runtime().cudaEventRecordExternal if recorded else runtime().cudaEventRecordDefault

        def launch() -> None:
            """As the pipeline launches a frame, with events in between."""
            mark = [partial(call, "cudaEventRecordWithFlags", event, stream.handle, flags) for event in events]
            mark[0]()
            stream.upload(host[IMAGE], device[IMAGE])
            mark[1]()
            if not own._context.execute_async_v3(int(stream.handle)):
                raise RuntimeError("TensorRT failed")
            mark[2]()
            for name in own.outputs:
                stream.download(device[name], host[name])
            stream.copy(device[DESCRIPTORS], device[PREVIOUS])
            mark[3]()

        run = stream.record(launch).launch if recorded else launch
        times = []
        for repeat in range(repeats):
            np.copyto(own._image, images[repeat % len(images)])
            run()
            stream.wait()
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
