"""ONNX Runtime: runs everywhere; float32 on a CPU, or int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .model_file import OUTPUTS, model_file, read_info, unusable

try:
    import onnxruntime
except ImportError as error:
    raise ImportError("the onnxruntime backend needs ONNX Runtime: pip install onnxruntime") from error

PRECISIONS = ("fp32", "int8")


class OnnxRuntimeBackend:
    """An exported SiLK file in ONNX Runtime's CPU provider: float32, or int8 where a quantised file is asked for."""

    name = "onnxruntime"

    def __init__(self, model: Path, max_keypoints: int, precision: str = "auto", threads: int = 0) -> None:
        if precision not in ("auto", *PRECISIONS):
            raise ValueError(
                f"the onnxruntime backend computes in fp32 or int8, not '{precision}': use precision auto, fp32 or int8"
            )
        self.model = model
        self.max_keypoints = max_keypoints
        file = model_file(model, precision)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only; they are raised as well
        options.intra_op_num_threads = threads
        # The number of keypoints is an initializer of the graph: replacing it specialises the session.
        self._keypoints_initializer = onnxruntime.OrtValue.ortvalue_from_numpy(np.array([max_keypoints], np.int64))
        options.add_initializer("max_keypoints", self._keypoints_initializer)
        # A memory plan is one more set of buffers for every image size: 150 MB at 640x480, and no faster.
        options.enable_mem_pattern = False
        # Threads that spin between frames would take the other processes' cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise unusable(file, error) from error
        self.device = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        inputs = [(given.name, given.type) for given in self._session.get_inputs()]
        outputs = tuple(output.name for output in self._session.get_outputs())
        fits = inputs == [("image", "tensor(uint8)")] and outputs == OUTPUTS
        info = read_info(file, model, fits, self._session.get_modelmeta().custom_metadata_map)
        self.border, self.descriptor_dim = info.border, info.descriptor_dim
        self.precision = info.checked_precision(precision, file)

    def extract(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        keypoints, scores, descriptors = self._session.run(OUTPUTS, {"image": image[None, None]})
        return keypoints[0], scores[0], descriptors[0]
