"""OpenVINO: the fastest backend on a CPU, in bfloat16 or int8 where the processor gains by them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..paths import cache_directory
from . import processor, speed
from .base import BackendUnavailable, Extracted, check_precision, unusable
from .model import OUTPUTS, Model, ModelFile, ModelInfo, int8_path

try:
    import openvino
except ImportError as error:
    raise BackendUnavailable("the openvino backend needs OpenVINO: pip install 'silk_ros[openvino]'") from error

log = logging.getLogger(__name__)

DEVICE = "CPU"
SIZES_KEPT = 4  # compiled networks in memory, for the image sizes used last
LIBRARY = f"openvino {openvino.__version__}"

# One core for the life of the process. A core installs a stack for signal handlers and, when deleted, restores the one
# it found: cores deleted in the order of their creation leave a freed stack, and the next signal writes to it.
_CORE = openvino.Core()


def _has_bf16() -> bool:
    """Whether the processor computes in bfloat16. OpenVINO also emulates it, at a third of fp32's speed."""
    return "BF16" in _CORE.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES") and processor.computes_bf16()


@dataclass(frozen=True, eq=False)
class _Network:
    """The graph of an exported file, before it is specialised for an image size."""

    info: ModelInfo
    digest: str
    graph: openvino.Model

    @classmethod
    def parse(cls, model: Model, file: ModelFile, wanted: str) -> _Network:
        """Raises ValueError, naming the fix, for a file that is unusable or does not suit the `wanted` precision."""
        try:
            graph = _CORE.read_model(file.content)
        except Exception as error:
            raise unusable(file.path, error) from error
        inputs = [(set(given.names), given.element_type) for given in graph.inputs]
        outputs = [set(output.names) for output in graph.outputs]
        fits = inputs == [({"image"}, openvino.Type.u8)] and outputs == [{name} for name in OUTPUTS]
        return cls(model.info(file, wanted, fits), file.digest, graph)

    def specialised(self, height: int, width: int, max_keypoints: int) -> openvino.Model:
        graph = self.graph.clone()
        for node in graph.get_ops():
            if node.get_friendly_name() == "max_keypoints":
                constant = openvino.op.Constant(np.array([max_keypoints], np.int64))
                node.output(0).replace(constant.output(0))
        graph.reshape({"image": [1, 1, height, width]})
        return graph


class OpenVinoBackend:
    """An exported SiLK file in OpenVINO on the CPU: one graph from the image to the descriptors.

    The graph is compiled when the first image of a size comes, in a tenth of a second, or less with the cache on disk.
    With precision "auto", the speed of a processor without bfloat16 is measured once, in less than a second.
    """

    name = "openvino"
    device = DEVICE

    def __init__(self, model: Model, max_keypoints: int, precision: str = "auto", threads: int = 0) -> None:
        """Raises BackendUnavailable if OpenVINO does not run the network on this processor, ValueError or OSError."""
        check_precision(self.name, precision)
        self.max_keypoints, self._threads, self._rules = max_keypoints, threads, model.rules
        self._network = _Network.parse(model, model.file(precision), precision)
        if precision == "bf16" and not _has_bf16():
            raise ValueError("this processor has no bfloat16: use precision auto, fp32 or int8")
        if precision == "auto" and self._network.info.precision != "int8":
            self.precision, self.reason = self._choose(model)
        else:
            self.precision = self._network.info.precision if precision == "auto" else precision
            self.reason = ""
            self._check()
        self.border, self.descriptor_dim = self._network.info.border, self._network.info.descriptor_dim
        self.model, given = model.path, model.file("fp32")
        self.digest, self.metadata = given.digest, given.metadata
        self._options = self._settings(self.precision)
        if (cache := cache_directory(self.name)) is not None:
            self._options["CACHE_DIR"] = str(cache)
        self._requests: OrderedDict[tuple[int, ...], openvino.InferRequest] = OrderedDict()

    def _settings(self, precision: str) -> dict[str, object]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            # Layers of an int8 network that are not quantised compute in this precision.
            "INFERENCE_PRECISION_HINT": "bf16" if precision != "fp32" and _has_bf16() else "f32",
            "INFERENCE_NUM_THREADS": self._threads,
        }

    def _choose(self, model: Model) -> tuple[str, str]:
        """The fastest precision on this processor and the reason for it; sets the network that has this precision.

        Raises BackendUnavailable where OpenVINO does not run the network.
        """
        instruction_sets = processor.instruction_sets()
        if _has_bf16():
            return "bf16", f"this processor ({instruction_sets}) computes in it"
        self._check()
        try:
            file = model.file("int8")
            if file is model.file("fp32"):
                return "fp32", f"there is no int8 version at '{int8_path(model.path)}': the quantize command makes one"
            quantised = _Network.parse(model, file, "int8")
        except (OSError, ValueError) as error:
            return "fp32", str(error)
        try:
            gain = speed.gain_of_int8(
                f"{LIBRARY}, {self._threads} threads, {self._network.digest} {quantised.digest}",
                partial(self._runner, self._network, "fp32"),
                partial(self._runner, quantised, "int8"),
            )
        except RuntimeError as error:
            return "fp32", f"int8 does not run here: {_last_line(error)}"
        here = f"fast as fp32 on this processor ({instruction_sets})"
        if gain < speed.WORTHWHILE:
            return "fp32", f"int8 is only {gain:.2f} times as {here}; at least {speed.WORTHWHILE} times are required"
        self._network = quantised
        return "int8", f"int8 is {gain:.1f} times as {here}"

    def _runner(self, network: _Network, precision: str) -> speed.Run:
        graph = network.specialised(*speed.SIZE, speed.KEYPOINTS)
        request = _CORE.compile_model(graph, DEVICE, self._settings(precision)).create_infer_request()
        image = np.random.default_rng(0).integers(0, 256, (1, 1, *speed.SIZE), np.uint8)
        return lambda: request.infer([image], share_inputs=True, share_outputs=True)

    def _check(self) -> None:
        """Raise BackendUnavailable where OpenVINO refuses the network, which it does only when compiling."""
        side = self._rules.least_side(self._network.info.border)
        try:
            _CORE.compile_model(self._network.specialised(side, side, 1), DEVICE, self._settings("fp32"))
        except RuntimeError as error:
            raise BackendUnavailable(
                f"OpenVINO does not run the network on this processor, {processor.describe()} ({_last_line(error)}): "
                "use the onnxruntime backend"
            ) from error

    def _compile(self, height: int, width: int) -> openvino.InferRequest:
        graph = self._network.specialised(height, width, self.max_keypoints)
        try:
            compiled = _CORE.compile_model(graph, DEVICE, self._options)
        except RuntimeError as error:
            if "CACHE_DIR" not in self._options:
                raise
            log.warning("OpenVINO's cache in '%s' fails (%s): compiling without it", self._options["CACHE_DIR"], error)
            del self._options["CACHE_DIR"]
            compiled = _CORE.compile_model(graph, DEVICE, self._options)
        return compiled.create_infer_request()

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        request = self._requests.pop(image.shape, None) or self._compile(*image.shape)
        self._requests[image.shape] = request
        if len(self._requests) > SIZES_KEPT:
            self._requests.popitem(last=False)
        found = request.infer([image[None, None]], share_inputs=True, share_outputs=True)
        keypoints, scores, descriptors = self._rules.kept((found[0][0], found[1][0], found[2][0]))
        # Copies, because the next image overwrites these arrays.
        return keypoints.copy(), scores.copy(), descriptors.copy()


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
