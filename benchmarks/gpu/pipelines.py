"""What `benchmarks.gpu` compares: TensorRT, ONNX Runtime and PyTorch, each from an image to matches in host memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from silk_ros import Features, Matches, match
from silk_ros.backends import PRECISIONS, Backend, BackendUnavailable, select_backend
from silk_ros.backends.parity import photographs
from silk_ros.backends.tensorrt.cuda import call
from silk_ros.paths import default_model

from .tensorrt_stages import MEGABYTE, Engines, Image, TensorRtRunner, Workload

if TYPE_CHECKING:
    from .torch_pipelines import TorchPipeline

TENSORRT = "TensorRT"
NO_GRAPH = ", no CUDA graph"
ONNXRUNTIME = {"onnxruntime_cuda": "ONNX Runtime CUDA", "onnxruntime_tensorrt": "ONNX Runtime TensorRT"}
EAGER, COMPILED = "torch eager", "torch.compile"
WARM_UP = 5  # frames before anything is timed
SHIFT = 6  # pixels that the image moves from frame to frame, down and to the right and back


class Runner(Protocol):
    """Something that extracts and matches frame after frame."""

    def run(self, image: Image) -> None:
        """Have the features of a grey image (H, W), and its matches with the last one, in host memory."""

    def counts(self) -> tuple[int, int]:
        """Keypoints and matches of the last image."""
        ...


@dataclass(frozen=True)
class Loaded:
    """A pipeline, and how much more of the GPU's memory was taken after its first frames than before it was loaded."""

    runner: Runner
    gpu_megabytes: float | None


def candidates(engines: Engines) -> dict[str, Callable[[Workload], Runner]]:
    """All that is compared, by name, and how to load it. Loading raises what explains why it does not run."""
    found: dict[str, Callable[[Workload], Runner]] = {}
    for precision in PRECISIONS["tensorrt"]:
        for suffix, use_graph in (("", True), (NO_GRAPH, False)):
            found[f"{TENSORRT} {precision}{suffix}"] = partial(TensorRtRunner, engines, precision, use_graph)
    for backend, name in ONNXRUNTIME.items():
        for precision in PRECISIONS[backend]:
            found[f"{name} {precision}"] = partial(_load_onnxruntime, backend, precision)
    for name, compiled in ((EAGER, False), (COMPILED, True)):
        for precision in ("fp32", "fp16"):
            found[f"{name} {precision}"] = partial(_load_torch, precision == "fp16", compiled)
    return found


class OnnxRuntimeRunner:
    """A backend that extracts, with matching on the CPU."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._last: Features | None = None
        self._matches = Matches.empty()

    def run(self, image: Image) -> None:
        features = Features(*self._backend.extract(image))
        if self._last is not None:
            self._matches = match(features, self._last)
        self._last = features

    def counts(self) -> tuple[int, int]:
        return len(self._last or ()), len(self._matches)


def _load_onnxruntime(backend: str, precision: str, setting: Workload) -> Runner:
    return OnnxRuntimeRunner(select_backend(backend, precision, default_model(), setting.keypoints))


def _load_torch(half: bool, compiled: bool, setting: Workload) -> TorchPipeline:
    from .torch_pipelines import TorchPipeline

    return TorchPipeline(setting.width, setting.height, setting.keypoints, half, compiled)


def frames(setting: Workload) -> list[Image]:
    """Two views of a photograph, some pixels apart, which all pipelines see by turns."""
    photo = photographs(setting.height + SHIFT, setting.width + SHIFT)[1]
    return [np.ascontiguousarray(photo[SHIFT:, SHIFT:]), np.ascontiguousarray(photo[:-SHIFT, :-SHIFT])]


def free_megabytes() -> float | None:
    """Free memory of the GPU, by whoever can tell."""
    try:
        return call("cudaMemGetInfo")[0] / MEGABYTE
    except (BackendUnavailable, RuntimeError):
        torch: Any = sys.modules.get("torch")
        return torch.cuda.mem_get_info()[0] / MEGABYTE if torch and torch.cuda.is_available() else None


def load(
    wanted: Mapping[str, Callable[[Workload], Runner]], setting: Workload
) -> tuple[dict[str, Loaded], dict[str, str]]:
    """Load what runs and have it process a few frames; and the reasons for what does not run."""
    loaded: dict[str, Loaded] = {}
    refused: dict[str, str] = {}
    images = frames(setting)
    for name, load_one in wanted.items():
        try:
            if name.startswith(TENSORRT):
                load_one(setting)  # builds: what is left of that is not the pipeline's
                gc.collect()
            before = free_megabytes()
            runner = load_one(setting)
            for image in (images * WARM_UP)[:WARM_UP]:
                runner.run(image)
            after = free_megabytes()
        except Exception as error:  # whatever it is, the others are measured all the same
            refused[name] = reason(error)
            continue
        loaded[name] = Loaded(runner, None if before is None or after is None else round(before - after, 1))
    return loaded, refused


def reason(error: Exception) -> str:
    """The first line of what an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else type(error).__name__


def release() -> None:
    """Give back the memory of pipelines that are gone."""
    gc.collect()
    if "torch" in sys.modules:
        from .torch_pipelines import release as release_torch

        release_torch()
