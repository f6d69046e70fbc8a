"""What every backend offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

# Keypoints (K, 2), scores (K,), descriptors (K, D), best score first.
Extracted = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
# Rows (M, 2) of the image and of the one before, and the cosines (M,) of their descriptors.
Matched = tuple[NDArray[np.int32], NDArray[np.float32]]

# What each backend computes in.
PRECISIONS = {
    "tensorrt": ("fp32", "fp16", "int8"),
    "onnxruntime_cuda": ("fp32", "int8"),
    "onnxruntime_tensorrt": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "onnxruntime": ("fp32", "int8"),
}

MAX_OPTIMIZATION_LEVEL = 5
NO_DLA = -1


class BackendUnavailable(ImportError):
    """A backend's library or device is not on this machine; the message tells what to install or do."""


@dataclass(frozen=True)
class EngineOptions:
    """How TensorRT builds engines.

    optimization_level: 0 to 5; higher tries more kernels, which takes longer once and may run faster ever after.
    workspace_mb:       most memory that a layer may use besides its tensors; 0 leaves it to TensorRT.
    dla_core:           deep-learning accelerator of a Jetson to use, or NO_DLA for the GPU.

    Raises ValueError, naming the range, for values that cannot be.
    """

    optimization_level: int = 3
    workspace_mb: int = 0
    dla_core: int = NO_DLA

    def __post_init__(self) -> None:
        if not 0 <= self.optimization_level <= MAX_OPTIMIZATION_LEVEL:
            raise ValueError(
                f"optimization_level must be from 0 to {MAX_OPTIMIZATION_LEVEL}, not {self.optimization_level}"
            )
        if self.workspace_mb < 0:
            raise ValueError(f"workspace_mb must be 0 (no limit of our own) or more, not {self.workspace_mb}")
        if self.dla_core < NO_DLA:
            raise ValueError(f"dla_core must be {NO_DLA} (the GPU) or the number of a core, not {self.dla_core}")


def check_precision(backend: str, precision: str) -> None:
    """Raise ValueError, naming the choices, for a precision that a backend does not compute in."""
    if precision not in ("auto", *PRECISIONS[backend]):
        choices = ", ".join(("auto", *PRECISIONS[backend]))
        raise ValueError(f"unknown precision '{precision}' for the {backend} backend: use one of {choices}")


class Backend(Protocol):
    """A loaded network. `extract` may be called with images of changing size, from one thread at a time."""

    name: str  # as in the `backend` parameter
    device: str  # where it really runs, for diagnostics
    precision: str  # what it really computes in
    reason: str  # why in that precision, where the backend chose it; else empty
    model: Path
    border: int  # pixels lost on each side; 2 * border + 1 is the receptive field
    descriptor_dim: int
    max_keypoints: int

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        """Keypoints (K, 2), scores (K,), descriptors (K, D) of a contiguous grey image (H, W), best score first."""
        ...


@runtime_checkable
class ClosableBackend(Protocol):
    """A backend that may be busy for long, and is to be told when the process ends."""

    def close(self) -> None:
        """Give up what is going on in another thread, which then raises."""
        ...


@runtime_checkable
class MatchingBackend(Protocol):
    """A backend that also matches each image with the one that it extracted before, where it is."""

    def extract_and_match(self, image: NDArray[np.uint8]) -> tuple[Extracted, Matched | None]:
        """As `extract`, and mutual nearest neighbours. None for the first image, and the first of another size."""
        ...
