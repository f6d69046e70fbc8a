"""OpenVINO: the fastest on a CPU, in bfloat16 or int8 where the processor gains by them."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..paths import cache_directory
from . import processor, speed
from .base import BackendUnavailable, Extracted, check_precision
from .model import OUTPUTS, ModelInfo, int8_path, model_file, read_info, read_model, unusable

try:
    import openvino
except ImportError as error:
    raise BackendUnavailable("the openvino backend needs OpenVINO: pip install 'silk_ros[openvino]'") from error

log = logging.getLogger(__name__)

DEVICE = "CPU"
SIZES_KEPT = 4  # compiled networks, of the image sizes used last
LIBRARY = f"openvino {openvino.__version__}"

# One for the process, until its end. Each core gives signal handlers a stack and, when it goes, puts back the one it
# found: cores that go in the order they came leave one that is freed, and the next signal writes there.
_CORE = openvino.Core()


def _has_bf16() -> bool:
    """Whether the processor computes in bfloat16. OpenVINO also offers to emulate it, at a third of fp32's speed."""
    return "BF16" in _CORE.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES") and processor.computes_bf16()


@dataclass(frozen=True, eq=False)
class _Network:
    """An exported file, read once and checked."""

    file: Path
    info: ModelInfo
    digest: str
    graph: openvino.Model

    @classmethod
    def read(cls, file: Path, model: Path) -> _Network:
        """Raises OSError or ValueError, naming the fix. model: what the file was chosen for."""
        content = read_model(file)
        try:
            graph = _CORE.read_model(content)
        except Exception as error:
            raise unusable(file, error) from error
        metadata = dict(graph.rt_info.items()).get("framework", {})
        inputs = [(set(given.names), given.element_type) for given in graph.inputs]
        outputs = [set(output.names) for output in graph.outputs]
        fits = inputs == [({"image"}, openvino.Type.u8)] and outputs == [{name} for name in OUTPUTS]
        info = read_info(file, model, fits, {name: str(value.value) for name, value in metadata.items()})
        return cls(file, info, hashlib.sha256(content).hexdigest(), graph)

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

    It is compiled for each size of image when the first one comes, which takes a tenth of a second, or less when the
    cache on disk has it. With precision "auto", a processor without bfloat16 is measured once, in less than a second.
    """

    name = "openvino"
    device = DEVICE

    def __init__(self, model: Path, max_keypoints: int, precision: str = "auto", threads: int = 0) -> None:
        self.model = model
        self.max_keypoints = max_keypoints
        self._threads = threads
        check_precision(self.name, precision)
        self._network = _Network.read(model_file(model, precision), model)
        of_file = self._network.info.checked_precision(precision, self._network.file)
        if precision == "bf16" and not _has_bf16():
            raise ValueError("this processor has no bfloat16: use precision auto, fp32 or int8")
        self.reason = ""  # why this precision, where it was chosen
        if precision == "auto" and of_file != "int8":
            self.precision = self._choose()
        else:
            self.precision = of_file if precision == "auto" else precision
            self._check()
        self.border, self.descriptor_dim = self._network.info.border, self._network.info.descriptor_dim
        self._options = self._settings(self.precision)
        if (cache := cache_directory(self.name)) is not None:
            self._options["CACHE_DIR"] = str(cache)
        self._requests: OrderedDict[tuple[int, ...], openvino.InferRequest] = OrderedDict()

    def _settings(self, precision: str) -> dict[str, object]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            # Of int8, for what is not quantised.
            "INFERENCE_PRECISION_HINT": "bf16" if precision != "fp32" and _has_bf16() else "f32",
            "INFERENCE_NUM_THREADS": self._threads,
        }

    def _choose(self) -> str:
        """Set the network that this processor computes fastest, and why. Returns its precision.

        Raises BackendUnavailable where it computes none.
        """
        if _has_bf16():
            self.reason = f"this processor ({processor.instruction_sets()}) computes in it"
            return "bf16"
        self._check()
        path = int8_path(self.model)
        if not path.is_file():
            self.reason = f"there is no int8 version at '{path}': the quantize command makes one"
            return "fp32"
        try:
            quantised = _Network.read(path, self.model)
            quantised.info.checked_precision("int8", path)
        except (OSError, ValueError) as error:
            self.reason = str(error)
            return "fp32"
        try:
            gain = speed.gain_of_int8(
                f"{LIBRARY}, {self._threads} threads, {self._network.digest} {quantised.digest}",
                partial(self._runner, self._network, "fp32"),
                partial(self._runner, quantised, "int8"),
            )
        except RuntimeError as error:
            self.reason = f"int8 does not run here: {str(error).strip().splitlines()[-1]}"
            return "fp32"
        here = f"fast as fp32 on this processor ({processor.instruction_sets()})"
        if gain < speed.WORTHWHILE:
            self.reason = f"int8 is only {gain:.2f} times as {here}; {speed.WORTHWHILE} times are asked for"
            return "fp32"
        self.reason = f"int8 is {gain:.1f} times as {here}"
        self._network = quantised
        return "int8"

    def _runner(self, network: _Network, precision: str) -> speed.Run:
        graph = network.specialised(*speed.SIZE, speed.KEYPOINTS)
        request = _CORE.compile_model(graph, DEVICE, self._settings(precision)).create_infer_request()
        image = np.random.default_rng(0).integers(0, 256, (1, 1, *speed.SIZE), np.uint8)
        return lambda: request.infer([image], share_inputs=True, share_outputs=True)

    def _check(self) -> None:
        """Raise BackendUnavailable where the processor refuses the network, which shows when it is compiled."""
        side = 2 * self._network.info.border + 1
        try:
            _CORE.compile_model(self._network.specialised(side, side, 1), DEVICE, self._settings("fp32"))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BackendUnavailable(
                f"OpenVINO does not run the network on this processor, {processor.describe()} ({reason}): "
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
        # Copies: the next image is computed in the same memory.
        keypoints, scores, descriptors = (found[index][0].copy() for index in range(len(OUTPUTS)))
        return keypoints, scores, descriptors
