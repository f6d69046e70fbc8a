"""OpenVINO: the fastest on a CPU, in bfloat16 or int8 where the processor has them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..paths import cache_directory
from .base import BackendUnavailable, Extracted, check_precision
from .model_file import OUTPUTS, model_file, read_info, read_model, unusable

try:
    import openvino
except ImportError as error:
    raise BackendUnavailable("the openvino backend needs OpenVINO: pip install 'silk_ros[openvino]'") from error

log = logging.getLogger(__name__)

SIZES_KEPT = 4  # compiled networks, of the image sizes used last

# One for the process, until its end. Each core gives signal handlers a stack and, when it goes, puts back the one it
# found: cores that go in the order they came leave one that is freed, and the next signal writes there.
_CORE = openvino.Core()


class OpenVinoBackend:
    """An exported SiLK file in OpenVINO on the CPU: one graph from the image to the descriptors.

    It is compiled for each size of image when the first one comes, which takes half a second, or a tenth of that when
    the cache on disk has it.
    """

    name = "openvino"
    device = "CPU"

    def __init__(self, model: Path, max_keypoints: int, precision: str = "auto", threads: int = 0) -> None:
        self.model = model
        self.max_keypoints = max_keypoints
        check_precision(self.name, precision)
        file = model_file(model, precision)
        content = read_model(file)
        self._has_bf16 = "BF16" in _CORE.get_property(self.device, "OPTIMIZATION_CAPABILITIES")
        try:
            self._network = _CORE.read_model(content)
        except Exception as error:
            raise unusable(file, error) from error
        metadata = dict(self._network.rt_info.items()).get("framework", {})
        inputs = [(set(given.names), given.element_type) for given in self._network.inputs]
        outputs = [set(output.names) for output in self._network.outputs]
        fits = inputs == [({"image"}, openvino.Type.u8)] and outputs == [{name} for name in OUTPUTS]
        info = read_info(file, model, fits, {name: str(value.value) for name, value in metadata.items()})
        self.border, self.descriptor_dim = info.border, info.descriptor_dim
        self.precision = self._choose(precision, info.checked_precision(precision, file))
        self._set_max_keypoints(max_keypoints)
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            # Of int8, for what is not quantised.
            "INFERENCE_PRECISION_HINT": "f32" if self.precision == "fp32" or not self._has_bf16 else "bf16",
            "INFERENCE_NUM_THREADS": threads,
        }
        if (cache := cache_directory("openvino")) is not None:
            self._options["CACHE_DIR"] = str(cache)
        self._requests: OrderedDict[tuple[int, ...], openvino.InferRequest] = OrderedDict()

    def _choose(self, wanted: str, of_file: str) -> str:
        """The precision to compute in, for what is wanted and what the file is in."""
        if of_file == "int8":
            return of_file
        if wanted == "bf16" and not self._has_bf16:
            raise ValueError("this processor has no bfloat16: use precision auto, fp32 or int8")
        return wanted if wanted != "auto" else "bf16" if self._has_bf16 else "fp32"

    def _set_max_keypoints(self, count: int) -> None:
        for node in self._network.get_ops():
            if node.get_friendly_name() == "max_keypoints":
                constant = openvino.op.Constant(np.array([count], np.int64))
                node.output(0).replace(constant.output(0))

    def _compile(self, height: int, width: int) -> openvino.InferRequest:
        network = self._network.clone()
        network.reshape({"image": [1, 1, height, width]})
        try:
            compiled = _CORE.compile_model(network, self.device, self._options)
        except RuntimeError as error:
            if "CACHE_DIR" not in self._options:
                raise
            log.warning("OpenVINO's cache in '%s' fails (%s): compiling without it", self._options["CACHE_DIR"], error)
            del self._options["CACHE_DIR"]
            compiled = _CORE.compile_model(network, self.device, self._options)
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
