"""The engines that run an exported ONNX file, and the one place that chooses between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .base import Backend

__all__ = ["BACKENDS", "Backend", "select_backend"]


def _onnxruntime(model: Path, max_keypoints: int, precision: str) -> Backend:
    from .onnxruntime import OnnxRuntimeBackend

    return OnnxRuntimeBackend(model, max_keypoints, precision)


# In the order that "auto" prefers. A backend's library is imported only when the backend is chosen.
BACKENDS: dict[str, Callable[[Path, int, str], Backend]] = {"onnxruntime": _onnxruntime}


def select_backend(name: str, precision: str, model: Path, max_keypoints: int) -> Backend:
    """Load `model` in the named backend, or for "auto" in the best one available.

    Raises ValueError for an unknown name, ImportError, naming the package, if the backend's library is not installed.
    """
    if name not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend '{name}': choose auto or one of {', '.join(BACKENDS)}")
    return BACKENDS[next(iter(BACKENDS)) if name == "auto" else name](model, max_keypoints, precision)
