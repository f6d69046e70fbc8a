"""The pipelines of `benchmarks.gpu`: TensorRT, ONNX Runtime and PyTorch, from an image to matches in host memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from silk_ros import Features, Matches, match
from silk_ros.backends import PRECISIONS, BackendUnavailable, select_backend
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
SHIFT = 6  # pixels that the image moves between frames, back and forth


class Runner(Protocol):
    """A pipeline that extracts and matches frame after frame."""

    def run(self, image: Image) -> None:
        """Compute the features of a grey image (H, W) and its matches with the last image, in host memory."""

    def counts(self) -> tuple[int, int]:
        """The numbers of keypoints and matches of the last image."""
        ...


# A pipeline, and the MB of GPU memory that it took until its first frames were done.
Loaded = tuple[Runner, float | None]


def candidates(engines: Engines) -> dict[str, Callable[[Workload], Runner]]:
    """Functions that load each pipeline, by its name. They raise an error with the reason if it does not run."""
    found: dict[str, Callable[[Workload], Runner]] = {}
    for precision in PRECISIONS["tensorrt"]:
        for suffix, use_graph in (("", True), (NO_GRAPH, False)):
            found[f"{TENSORRT} {precision}{suffix}"] = partial(TensorRtRunner, engines, precision, use_graph)
    for backend, name in ONNXRUNTIME.items():
        for precision in PRECISIONS[backend]:
            found[f"{name} {precision}"] = partial(OnnxRuntimeRunner, backend, precision)
    for name, compiled in ((EAGER, False), (COMPILED, True)):
        for precision in ("fp32", "fp16"):
            found[f"{name} {precision}"] = partial(_load_torch, precision == "fp16", compiled)
    return found


class OnnxRuntimeRunner:
    """An ONNX Runtime backend, with matching on the CPU."""

    def __init__(self, backend: str, precision: str, setting: Workload) -> None:
        self._backend = select_backend(backend, precision, default_model(), setting.keypoints)
        self._last: Features | None = None
        self._matches = Matches.empty()

    def run(self, image: Image) -> None:
        features = Features(*self._backend.extract(image))
        if self._last is not None:
            self._matches = match(features, self._last)
        self._last = features

    def counts(self) -> tuple[int, int]:
        return len(self._last or ()), len(self._matches)


def _load_torch(half: bool, compiled: bool, setting: Workload) -> TorchPipeline:
    from .torch_pipelines import TorchPipeline

    return TorchPipeline(setting.width, setting.height, setting.keypoints, half, compiled)


def frames(setting: Workload) -> list[Image]:
    """Two views of a photograph, SHIFT pixels apart, that all pipelines get alternately."""
    photo = photographs(setting.height + SHIFT, setting.width + SHIFT)[1]
    return [np.ascontiguousarray(photo[SHIFT:, SHIFT:]), np.ascontiguousarray(photo[:-SHIFT, :-SHIFT])]


def free_megabytes() -> float | None:
    """Free memory of the GPU, by CUDA's runtime or by PyTorch; None without both."""
    try:
        return call("cudaMemGetInfo")[0] / MEGABYTE
    except (BackendUnavailable, RuntimeError):
        torch: Any = sys.modules.get("torch")
        return torch.cuda.mem_get_info()[0] / MEGABYTE if torch and torch.cuda.is_available() else None


def load(
    wanted: Mapping[str, Callable[[Workload], Runner]], setting: Workload
) -> tuple[dict[str, Loaded], dict[str, str]]:
    """Load the pipelines and warm them up with a few frames; returns those that run, and the reasons of the others."""
    loaded: dict[str, Loaded] = {}
    refused: dict[str, str] = {}
    images = frames(setting)
    for name, load_one in wanted.items():
        try:
            if name.startswith(TENSORRT):
                load_one(setting)  # builds the engine; the build's memory is not the pipeline's
                gc.collect()
            before = free_megabytes()
            runner = load_one(setting)
            for image in (images * WARM_UP)[:WARM_UP]:
                runner.run(image)
            after = free_megabytes()
        except Exception as error:  # of any kind: the others are measured nevertheless
            refused[name] = reason(error)
            continue
        loaded[name] = runner, None if before is None or after is None else round(before - after, 1)
    return loaded, refused


def reason(error: Exception) -> str:
    """The first line of an error's message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else type(error).__name__


def release() -> None:
    """Free the memory of pipelines that are no longer used."""
    gc.collect()
    if "torch" in sys.modules:
        from .torch_pipelines import release as release_torch

        release_torch()
