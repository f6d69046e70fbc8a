"""The engines that run an exported ONNX file, and the one place that chooses between them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import model as model_file
from .base import (
    PRECISIONS,
    Backend,
    BackendUnavailable,
    ClosableBackend,
    EngineOptions,
    Extracted,
    MatchingBackend,
    check_precision,
)

__all__ = [
    "AUTO",
    "BACKENDS",
    "PRECISIONS",
    "Backend",
    "BackendUnavailable",
    "ClosableBackend",
    "EngineOptions",
    "Extracted",
    "MatchingBackend",
    "select_backend",
]

log = logging.getLogger(__name__)


# A backend's library is imported only when the backend is chosen.
def _tensorrt(model: Path, max_keypoints: int, precision: str, threads: int, engine: EngineOptions) -> Backend:
    from .tensorrt.cuda import gpu

    check_precision("tensorrt", precision)
    gpu()  # TensorRT takes 100 MB by being imported: not where it has no use
    from .tensorrt.backend import TensorRtBackend

    return TensorRtBackend(model, max_keypoints, precision, threads, engine)


def _openvino(model: Path, max_keypoints: int, precision: str, threads: int, engine: EngineOptions) -> Backend:
    from .openvino import OpenVinoBackend

    return OpenVinoBackend(model, max_keypoints, precision, threads)


def _onnxruntime(
    model: Path, max_keypoints: int, precision: str, threads: int, engine: EngineOptions, name: str
) -> Backend:
    from .onnxruntime import OnnxRuntimeBackend

    return OnnxRuntimeBackend(model, max_keypoints, precision, threads, name)


BACKENDS: dict[str, Callable[[Path, int, str, int, EngineOptions], Backend]] = {
    "tensorrt": _tensorrt,
    "onnxruntime_cuda": partial(_onnxruntime, name="onnxruntime_cuda"),
    "onnxruntime_tensorrt": partial(_onnxruntime, name="onnxruntime_tensorrt"),
    "openvino": _openvino,
    "onnxruntime": partial(_onnxruntime, name="onnxruntime"),
}
AUTO = ("tensorrt", "onnxruntime_cuda", "openvino", "onnxruntime")  # fastest first


def select_backend(
    name: str,
    precision: str,
    model: Path,
    max_keypoints: int,
    threads: int = 0,
    engine: EngineOptions | None = None,
) -> Backend:
    """Load `model` in the named backend, or for "auto" in the first of AUTO that this machine has, and say why.

    "auto" passes over backends that do not compute in the precision, too. One asked for by name never gives way. The
    precision "auto" is the backend's choice, which it gives a reason for.
    Raises ValueError for an unknown name or precision, FileNotFoundError for a missing model, and BackendUnavailable,
    naming the package, for a library or device that is not here.
    """
    backend = _select(name, precision, model, max_keypoints, threads, engine or EngineOptions())
    if backend.reason:
        log.info("precision auto: %s: %s", backend.precision, backend.reason)
    return backend


def _select(
    name: str, precision: str, model: Path, max_keypoints: int, threads: int, options: EngineOptions
) -> Backend:
    if name not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend '{name}': choose auto or one of {', '.join(BACKENDS)}")
    model_file.model_file(model, precision)  # is to be there whatever is tried
    if name != "auto":
        return BACKENDS[name](model, max_keypoints, precision, threads, options)
    if not any(precision in ("auto", *PRECISIONS[candidate]) for candidate in AUTO):
        known = ", ".join(dict.fromkeys(name for candidate in AUTO for name in PRECISIONS[candidate]))
        raise ValueError(f"unknown precision '{precision}': use auto or one of {known}")
    passed_over: list[str] = []
    for candidate in AUTO:
        if precision not in ("auto", *PRECISIONS[candidate]):
            log.info("backend auto: not %s: it does not compute in %s", candidate, precision)
            continue
        try:
            backend = BACKENDS[candidate](model, max_keypoints, precision, threads, options)
        except BackendUnavailable as error:
            log.info("backend auto: not %s: %s", candidate, error)
            passed_over.append(str(error))
            continue
        log.info("backend auto: %s on %s", backend.name, backend.device)
        return backend
    raise BackendUnavailable("; ".join(passed_over))
