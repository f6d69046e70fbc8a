"""Backends run an exported ONNX file; `select_backend` chooses and loads one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

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
from .model import Model
from .rules import SelectionRules

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
    "SelectionRules",
    "select_backend",
]

log = logging.getLogger(__name__)


def _load(name: str, model: Model, max_keypoints: int, precision: str, threads: int, engine: EngineOptions) -> Backend:
    """Load a backend by its name; its library is imported only now."""
    if name == "tensorrt":
        from .tensorrt.cuda import gpu

        check_precision(name, precision)
        gpu()  # before the import of TensorRT, which takes 100 MB: without a GPU it is not needed
        from .tensorrt.backend import TensorRtBackend

        return TensorRtBackend(model, max_keypoints, precision, threads, engine)
    if name == "openvino":
        from .openvino import OpenVinoBackend

        return OpenVinoBackend(model, max_keypoints, precision, threads)
    from .onnxruntime import OnnxRuntimeBackend

    return OnnxRuntimeBackend(model, max_keypoints, precision, threads, name)


BACKENDS: dict[str, Callable[[Model, int, str, int, EngineOptions], Backend]] = {
    name: partial(_load, name) for name in PRECISIONS
}
AUTO = ("tensorrt", "onnxruntime_cuda", "openvino", "onnxruntime")  # fastest first


def select_backend(
    name: str,
    precision: str,
    model: Path,
    max_keypoints: int,
    threads: int = 0,
    engine: EngineOptions | None = None,
    rules: SelectionRules | None = None,
) -> Backend:
    """Load the ONNX file `model` in a backend and log the choice.

    name:      a name from BACKENDS, which is loaded or raises; or "auto" for the first of AUTO that this machine has
               and that computes in the precision.
    precision: a precision from PRECISIONS; "auto" leaves it to the backend, which gives the reason for its choice.
    rules:     which keypoints the graph selects.

    Raises ValueError for an unknown name or precision, FileNotFoundError for a missing model, and BackendUnavailable,
    naming the package to install, for a missing library or device.
    """
    options = engine or EngineOptions()
    if name not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend '{name}': choose auto or one of {', '.join(BACKENDS)}")
    opened = Model(model, rules)
    if name == "auto":
        backend = _first_available(opened, max_keypoints, precision, threads, options)
    else:
        backend = BACKENDS[name](opened, max_keypoints, precision, threads, options)
    if backend.reason:
        log.info("precision auto: %s: %s", backend.precision, backend.reason)
    return backend


def _first_available(model: Model, max_keypoints: int, precision: str, threads: int, options: EngineOptions) -> Backend:
    if not any(precision in ("auto", *PRECISIONS[candidate]) for candidate in AUTO):
        known = ", ".join(dict.fromkeys(name for candidate in AUTO for name in PRECISIONS[candidate]))
        raise ValueError(f"unknown precision '{precision}': use auto or one of {known}")
    unavailable: list[str] = []
    for candidate in AUTO:
        if precision not in ("auto", *PRECISIONS[candidate]):
            log.info("backend auto: not %s: it does not compute in %s", candidate, precision)
            continue
        try:
            backend = BACKENDS[candidate](model, max_keypoints, precision, threads, options)
        except BackendUnavailable as error:
            log.info("backend auto: not %s: %s", candidate, error)
            unavailable.append(str(error))
            continue
        log.info("backend auto: %s on %s", backend.name, backend.device)
        return backend
    raise BackendUnavailable("; ".join(unavailable))
