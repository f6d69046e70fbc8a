"""The engines that run an exported ONNX file, and the one place that chooses between them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from .base import Backend

__all__ = ["BACKENDS", "Backend", "select_backend"]

log = logging.getLogger(__name__)


def _openvino(model: Path, max_keypoints: int, precision: str, threads: int) -> Backend:
    from .openvino import OpenVinoBackend

    return OpenVinoBackend(model, max_keypoints, precision, threads)


def _onnxruntime(model: Path, max_keypoints: int, precision: str, threads: int) -> Backend:
    from .onnxruntime import OnnxRuntimeBackend

    return OnnxRuntimeBackend(model, max_keypoints, precision, threads)


# In the order that "auto" prefers. A backend's library is imported only when the backend is chosen.
BACKENDS: dict[str, Callable[[Path, int, str, int], Backend]] = {"openvino": _openvino, "onnxruntime": _onnxruntime}


def select_backend(name: str, precision: str, model: Path, max_keypoints: int, threads: int = 0) -> Backend:
    """Load `model` in the named backend, or for "auto" in the first whose library is installed.

    Raises ValueError for an unknown name, ImportError, naming the package, if the backend's library is not installed.
    """
    if name not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend '{name}': choose auto or one of {', '.join(BACKENDS)}")
    if name != "auto":
        return BACKENDS[name](model, max_keypoints, precision, threads)
    missing: list[str] = []
    for load in BACKENDS.values():
        try:
            return load(model, max_keypoints, precision, threads)
        except ImportError as error:
            log.info("%s", error)
            missing.append(str(error))
    raise ImportError("; ".join(missing))
