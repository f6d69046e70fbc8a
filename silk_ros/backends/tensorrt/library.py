"""TensorRT's Python module: TensorRT itself (also JetPack's) or TensorRT for RTX, which has the same interface."""

from __future__ import annotations

import importlib
import logging
from types import ModuleType
from typing import TYPE_CHECKING

from ..base import BackendUnavailable

log = logging.getLogger(__name__)

NAMES = ("tensorrt", "tensorrt_rtx")  # by preference


def _find() -> ModuleType:
    reasons = []
    for name in NAMES:
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:  # installed, but does not load on this system
            reasons.append(f"{name}: {error}")
            continue
        if hasattr(module, "Builder"):
            return module
        reasons.append(f"{name}: type stubs only")
    raise BackendUnavailable(
        "the tensorrt backend needs TensorRT: on a Jetson apt install python3-libnvinfer, elsewhere "
        f"pip install 'silk_ros[tensorrt]' ({'; '.join(reasons)})"
    )


if TYPE_CHECKING:
    import tensorrt as trt
else:
    trt = _find()

IS_RTX = trt.__name__ == "tensorrt_rtx"
VERSION = f"{trt.__name__} {trt.__version__}"


class Log(trt.ILogger):
    """Passes TensorRT's messages to Python's log and keeps the errors, for exceptions."""

    def __init__(self) -> None:
        super().__init__()
        self._errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, message: str) -> None:
        if severity in (trt.Logger.INTERNAL_ERROR, trt.Logger.ERROR):
            self._errors.append(message)
        if severity != trt.Logger.VERBOSE:
            log.debug("TensorRT: %s", message)

    @property
    def reason(self) -> str:
        """The last errors, as TensorRT wrote them."""
        return "; ".join(self._errors[-2:]) or "it gives no reason"
