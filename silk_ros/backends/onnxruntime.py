"""ONNX Runtime: runs everywhere; on a CPU, or with onnxruntime-gpu on a GPU, by itself or through TensorRT."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..paths import cache_directory
from .base import BackendUnavailable, Extracted, check_precision
from .model import OUTPUTS, model_file, read_info, read_model, sha256, unusable

try:
    import onnxruntime
except ImportError as error:
    raise BackendUnavailable("the onnxruntime backend needs ONNX Runtime: pip install onnxruntime") from error

log = logging.getLogger(__name__)

# The first does the work; what it cannot do falls to the next.
PROVIDERS = {
    "onnxruntime": ("CPUExecutionProvider",),
    "onnxruntime_cuda": ("CUDAExecutionProvider",),
    "onnxruntime_tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
}


def _provider_options(name: str, file: Path, max_keypoints: int, quantised: bool) -> list[dict[str, object]]:
    """Of each of a backend's providers. TensorRT's keeps its engines in the user's cache.

    It knows its engines by the names in the graph alone: each file and number of keypoints gets a folder of its own.
    """
    options: dict[str, dict[str, object]] = {provider: {} for provider in PROVIDERS[name]}
    if "CUDAExecutionProvider" in options:
        options["CUDAExecutionProvider"] = {"use_tf32": 0}  # fp32 means fp32
    if name == "onnxruntime_tensorrt":
        options["TensorrtExecutionProvider"] = {"trt_int8_enable": quantised}
        if (cache := cache_directory(name)) is not None:
            folder = cache / f"{sha256(file)[:32]}_{max_keypoints}_{onnxruntime.__version__}"
            folder.mkdir(mode=0o700, exist_ok=True)
            options["TensorrtExecutionProvider"] |= {
                "trt_engine_cache_enable": True,
                "trt_engine_cache_path": str(folder),
            }
    return list(options.values())


class OnnxRuntimeBackend:
    """An exported SiLK file in ONNX Runtime: float32, or int8 where a quantised file is asked for.

    `name` chooses the provider (PROVIDERS), which is the one that runs or none: ONNX Runtime by itself would fall back
    to the CPU. `device` is the provider that it says.
    """

    def __init__(
        self,
        model: Path,
        max_keypoints: int,
        precision: str = "auto",
        threads: int = 0,
        name: str = "onnxruntime",
    ) -> None:
        """Raises BackendUnavailable, naming the package, if the provider is missing or does not start."""
        check_precision(name, precision)
        self.name = name
        provider = PROVIDERS[name][0]
        if provider not in onnxruntime.get_available_providers():
            raise BackendUnavailable(
                f"the {name} backend needs ONNX Runtime with the {provider}: "
                "pip uninstall onnxruntime; pip install onnxruntime-gpu"
            )
        if name != "onnxruntime" and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # CUDA and cuDNN that came with pip
        self.model = model
        self.max_keypoints = max_keypoints
        file = model_file(model, precision)
        content = read_model(file)
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
        options.add_session_config_entry("session.load_model_format", "ONNX")  # what was checked, and no other
        try:
            self._session = onnxruntime.InferenceSession(
                content,
                options,
                providers=list(PROVIDERS[name]),
                provider_options=_provider_options(name, file, max_keypoints, precision == "int8"),
            )
        except Exception as error:
            raise unusable(file, error) from error
        running = self._session.get_providers()[0]
        if running != provider:
            raise BackendUnavailable(
                f"the {name} backend does not start (ONNX Runtime took the {running}): it needs an NVIDIA GPU, its "
                "driver, and the CUDA and cuDNN libraries that onnxruntime-gpu names"
            )
        self.device = running.removesuffix("ExecutionProvider")
        inputs = [(given.name, given.type) for given in self._session.get_inputs()]
        outputs = tuple(output.name for output in self._session.get_outputs())
        fits = inputs == [("image", "tensor(uint8)")] and outputs == OUTPUTS
        info = read_info(file, model, fits, self._session.get_modelmeta().custom_metadata_map)
        self.border, self.descriptor_dim = info.border, info.descriptor_dim
        self.precision = info.checked_precision(precision, file)
        chosen = precision == "auto" and self.precision == "fp32"
        self.reason = "what ONNX Runtime takes by default" if chosen else ""

        self._builds_engines = name == "onnxruntime_tensorrt"
        self._sizes: set[tuple[int, ...]] = set()
        self._binding = None if name == "onnxruntime" else self._session.io_binding()

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        if self._builds_engines and image.shape not in self._sizes:
            self._sizes.add(image.shape)
            log.warning(
                "ONNX Runtime builds a TensorRT engine for images of %dx%d if its cache has none: "
                "seconds on a large GPU, and some minutes on a Jetson",
                *image.shape[::-1],
            )
        given = image[None, None]
        if self._binding is None:
            keypoints, scores, descriptors = self._session.run(OUTPUTS, {"image": given})
        else:
            # What stays on the device between the layers is never copied; the outputs are, once.
            self._binding.bind_cpu_input("image", given)
            for output in OUTPUTS:
                self._binding.bind_output(output, "cpu")
            self._session.run_with_iobinding(self._binding)
            keypoints, scores, descriptors = self._binding.copy_outputs_to_cpu()
        return keypoints[0], scores[0], descriptors[0]
