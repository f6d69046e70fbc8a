"""ONNX Runtime: runs everywhere, the default on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

try:
    import onnxruntime
except ImportError as error:
    raise ImportError("the onnxruntime backend needs ONNX Runtime: pip install onnxruntime") from error

OUTPUTS = ("keypoints", "scores", "descriptors")
REQUIRED_METADATA = ("architecture", "border", "descriptor_dim")


class OnnxRuntimeBackend:
    """An exported SiLK file in ONNX Runtime's CPU provider, float32."""

    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, model: Path, max_keypoints: int, precision: str = "auto") -> None:
        if precision not in ("auto", self.precision):
            raise ValueError(f"the onnxruntime backend computes in fp32, not '{precision}': use precision auto or fp32")
        if not model.is_file():
            raise FileNotFoundError(f"no model file at '{model}': check model_path, or export one with training.export")
        self.model = model
        self.max_keypoints = max_keypoints
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only; they are raised as well
        # The number of keypoints is an initializer of the graph: replacing it specialises the session.
        self._keypoints_initializer = onnxruntime.OrtValue.ortvalue_from_numpy(np.array([max_keypoints], np.int64))
        options.add_initializer("max_keypoints", self._keypoints_initializer)
        # A memory plan is one more set of buffers for every image size: 150 MB at 640x480, and no faster.
        options.enable_mem_pattern = False
        # Threads that spin between frames would take the other processes' cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises its own types, one per kind of damage
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"'{model}' is not a usable ONNX file ({reason}): export it again") from error
        self.device = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        metadata = self._session.get_modelmeta().custom_metadata_map
        outputs = tuple(output.name for output in self._session.get_outputs())
        inputs = [(given.name, given.type) for given in self._session.get_inputs()]
        if inputs != [("image", "tensor(uint8)")] or outputs != OUTPUTS or not set(REQUIRED_METADATA) <= set(metadata):
            raise ValueError(f"'{model}' is an ONNX file, but not of a SiLK network: export one with training.export")
        try:
            self.border, self.descriptor_dim = int(metadata["border"]), int(metadata["descriptor_dim"])
        except ValueError as error:
            raise ValueError(f"'{model}' has damaged metadata ({error}): export it again") from error

    def extract(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        keypoints, scores, descriptors = self._session.run(OUTPUTS, {"image": image[None, None]})
        return keypoints[0], scores[0], descriptors[0]
