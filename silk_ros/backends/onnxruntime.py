"""ONNX Runtime: the backend for any machine, on a CPU or, with onnxruntime-gpu, on a GPU through CUDA or TensorRT."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
from numpy.typing import NDArray

from ..paths import cache_directory
from .base import BackendUnavailable, Extracted, check_precision, unusable
from .model import OUTPUTS, Model, ModelFile
from .nvidia import gpu_problem

try:
    import onnxruntime
except ImportError as error:
    raise BackendUnavailable("the onnxruntime backend needs ONNX Runtime: pip install onnxruntime") from error

log = logging.getLogger(__name__)

# The first provider runs the network; operators that it lacks run on the next one.
PROVIDERS = {
    "onnxruntime": ("CPUExecutionProvider",),
    "onnxruntime_cuda": ("CUDAExecutionProvider",),
    "onnxruntime_tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
}


class OnnxRuntimeBackend:
    """An exported SiLK file in ONNX Runtime, in float32, or in int8 if a quantised file is asked for.

    `name` chooses the provider from PROVIDERS. The backend runs on that provider or raises; ONNX Runtime by itself
    would fall back to the CPU.
    """

    def __init__(
        self, model: Model, max_keypoints: int, precision: str = "auto", threads: int = 0, name: str = "onnxruntime"
    ) -> None:
        """Raises BackendUnavailable, naming the package, if the provider is missing or does not start."""
        check_precision(name, precision)
        _check_installed(name)
        self.name, self.max_keypoints = name, max_keypoints
        file = model.file(precision)
        # The number of keypoints is an initializer of the graph. The session reads this value and does not copy it.
        self._keypoints_initializer = onnxruntime.OrtValue.ortvalue_from_numpy(np.array([max_keypoints], np.int64))
        options = _session_options(threads)
        options.add_initializer("max_keypoints", self._keypoints_initializer)
        try:
            self._session = onnxruntime.InferenceSession(
                file.content,
                options,
                providers=list(PROVIDERS[name]),
                provider_options=_provider_options(name, file, max_keypoints, precision == "int8"),
            )
        except Exception as error:
            raise unusable(file.path, error) from error
        running = self._session.get_providers()[0]
        if running != PROVIDERS[name][0]:
            raise BackendUnavailable(
                f"the {name} backend does not start (ONNX Runtime took the {running}): it needs an NVIDIA GPU, its "
                "driver, and the CUDA and cuDNN libraries that onnxruntime-gpu names"
            )
        self.device = running.removesuffix("ExecutionProvider")
        inputs = [(given.name, given.type) for given in self._session.get_inputs()]
        outputs = tuple(output.name for output in self._session.get_outputs())
        info = model.info(file, precision, inputs == [("image", "tensor(uint8)")] and outputs == OUTPUTS)
        self.border, self.descriptor_dim, self.precision = info.border, info.descriptor_dim, info.precision
        self.reason = "ONNX Runtime's default" if precision == "auto" and info.precision == "fp32" else ""
        self.model, given, self._rules = model.path, model.file("fp32"), model.rules
        self.digest, self.metadata = given.digest, given.metadata

        self._builds_engines = name == "onnxruntime_tensorrt"
        self._sizes: set[tuple[int, ...]] = set()
        self._binding = None if name == "onnxruntime" else self._session.io_binding()

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        if self._builds_engines and image.shape not in self._sizes:
            self._sizes.add(image.shape)
            log.warning(
                "ONNX Runtime builds a TensorRT engine for images of %dx%d unless its cache has one: "
                "seconds on a large GPU, and some minutes on a Jetson",
                *image.shape[::-1],
            )
        given = image[None, None]
        if self._binding is None:
            outputs = self._session.run(OUTPUTS, {"image": given})
        else:
            # Tensors between layers stay on the device; only the outputs are copied to the host.
            self._binding.bind_cpu_input("image", given)
            for output in OUTPUTS:
                self._binding.bind_output(output, "cpu")
            self._session.run_with_iobinding(self._binding)
            outputs = self._binding.copy_outputs_to_cpu()
        keypoints, scores, descriptors = (values[0] for values in outputs)
        return self._rules.kept((keypoints, scores, descriptors))


def _check_installed(name: str) -> None:
    provider = PROVIDERS[name][0]
    if provider not in onnxruntime.get_available_providers():
        if problem := gpu_problem():
            raise BackendUnavailable(f"the {name} backend does not run here, {problem}: use backend auto or openvino")
        raise BackendUnavailable(
            f"the {name} backend needs ONNX Runtime with the {provider}: "
            "pip uninstall onnxruntime; pip install onnxruntime-gpu"
        )
    if name != "onnxruntime" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA and cuDNN from pip packages


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only, which are raised as well
    options.intra_op_num_threads = threads
    # A memory plan keeps one more set of buffers for every image size, 150 MB at 640x480, and is no faster.
    options.enable_mem_pattern = False
    # Threads that spin between frames would occupy cores that other processes need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the only format that was checked
    return options


def _provider_options(name: str, file: ModelFile, max_keypoints: int, quantised: bool) -> list[dict[str, object]]:
    """Options of each of a backend's providers. The TensorRT provider keeps its engines in the user's cache.

    It identifies engines only by names in the graph, so each graph and number of keypoints gets a folder of its own.
    """
    options: dict[str, dict[str, object]] = {provider: {} for provider in PROVIDERS[name]}
    if "CUDAExecutionProvider" in options:
        options["CUDAExecutionProvider"] = {"use_tf32": 0}  # full float32
    if name == "onnxruntime_tensorrt":
        options["TensorrtExecutionProvider"] = {"trt_int8_enable": quantised}
        if (cache := cache_directory(name)) is not None:
            digest = hashlib.sha256(file.content).hexdigest()[:32]
            folder = cache / f"{digest}_{max_keypoints}_{onnxruntime.__version__}"
            folder.mkdir(mode=0o700, exist_ok=True)
            options["TensorrtExecutionProvider"] |= {
                "trt_engine_cache_enable": True,
                "trt_engine_cache_path": str(folder),
            }
    return list(options.values())
