"""Backends run an exported ONNX file; `select_backend` chooses and loads one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from . import processor
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
from .model import Model, int8_path
from .nvidia import gpu_problem
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
    "forget_choice",
    "select_backend",
]

log = logging.getLogger(__name__)


class _OnlyChanges(logging.Filter):
    """Drops a line of information that is the same as the last one.

    Networks are loaded again for other keypoints, and for many methods, and the choice of a backend seldom changes.
    """

    last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.INFO:
            return True
        before, self.last = self.last, record.getMessage()
        return self.last != before


_only_changes = _OnlyChanges()
log.addFilter(_only_changes)


def forget_choice() -> None:
    """Let `select_backend` log its next choice even where it is the last one again, as for a node that starts anew."""
    _only_changes.last = ""


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
ON_GPU = ("tensorrt", "onnxruntime_cuda", "onnxruntime_tensorrt")


def select_backend(
    name: str,
    precision: str,
    model: Path,
    max_keypoints: int,
    threads: int = 0,
    engine: EngineOptions | None = None,
    rules: SelectionRules | None = None,
) -> Backend:
    """Load the ONNX file `model` in a backend, and log the choice in one line unless the last choice was the same.

    name:      a name from BACKENDS, which is loaded or raises; or "auto" for the first of AUTO that this machine has
               and that computes in the precision.
    precision: a precision from PRECISIONS; "auto" leaves it to the backend, which gives the reason for its choice.
    rules:     which keypoints the graph selects.

    Raises ValueError for an unknown name or precision, FileNotFoundError for a missing model, and BackendUnavailable,
    naming the package to install or the precisions that there are, for a missing library or device.
    """
    options = engine or EngineOptions()
    if name not in ("auto", *BACKENDS):
        raise ValueError(f"unknown backend '{name}': choose auto or one of {', '.join(BACKENDS)}")
    opened = Model(model, rules)
    passed_over: dict[str, str] = {}
    if name == "auto":
        backend = _first_available(opened, max_keypoints, precision, threads, options, passed_over)
    else:
        backend = BACKENDS[name](opened, max_keypoints, precision, threads, options)
    if backend.reason:
        log.debug("precision auto: %s: %s", backend.precision, backend.reason)
    slow = f" ({backend.reason})" if backend.reason and backend.precision == "fp32" else ""
    choice = f"{backend.name} on {backend.device}, {backend.precision}{slow}"
    log.info("%s", "; ".join([choice, *_in_few_words(passed_over)]))
    return backend


def _first_available(
    model: Model, max_keypoints: int, precision: str, threads: int, options: EngineOptions, passed_over: dict[str, str]
) -> Backend:
    """The first backend of AUTO for a precision. Adds to `passed_over` why those before it are not available."""
    able = [name for name in AUTO if precision in ("auto", *PRECISIONS[name])]
    if not able:
        known = ", ".join(dict.fromkeys(name for candidate in AUTO for name in PRECISIONS[candidate]))
        raise ValueError(f"unknown precision '{precision}': use auto or one of {known}")
    for name in able:
        try:
            return BACKENDS[name](model, max_keypoints, precision, threads, options)
        except BackendUnavailable as error:
            log.debug("backend auto: not %s: %s", name, error)
            passed_over[name] = str(error)
    if len(able) == len(AUTO):
        raise BackendUnavailable("; ".join(passed_over.values()))
    # In the precision of the file, a backend loads without measuring which precision is faster.
    instead = _first_available(model, max_keypoints, model.file("fp32").precision, threads, options, {})
    if isinstance(instead, ClosableBackend):
        instead.close()
    there_are = [each for each in PRECISIONS[instead.name] if _is_possible(each, model)]
    raise BackendUnavailable(
        f"precision {precision} needs the backend {' or '.join(able)} ({'; '.join(_in_few_words(passed_over))}): "
        f"{instead.name} computes here in {', '.join(there_are)}; auto takes the fastest of them"
    )


def _is_possible(precision: str, model: Model) -> bool:
    """Whether this processor and the files of a model have what a precision needs."""
    if model.file("fp32").precision == "int8":
        return precision == "int8"
    return processor.computes_bf16() if precision == "bf16" else precision != "int8" or int8_path(model.path).is_file()


def _in_few_words(unavailable: Mapping[str, str]) -> list[str]:
    """Why backends are not available, with one reason for all that need a GPU.

    That is the problem of the GPU where it has one, and the reason of the first of these backends elsewhere.
    """
    of_gpu = [reason for name, reason in unavailable.items() if name in ON_GPU]
    others = [reason for name, reason in unavailable.items() if name not in ON_GPU]
    return [*([gpu_problem() or of_gpu[0]] if of_gpu else []), *others]
