"""The interface of all backends, and the options and errors that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

# Keypoints (K, 2), scores (K,) and descriptors (K, D), best score first.
Extracted = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
# Pairs (M, 2) of rows of this image and of the previous one, and the cosines (M,) of their descriptors.
Matched = tuple[NDArray[np.int32], NDArray[np.float32]]

# The precisions that each backend computes in.
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
    """A backend's library or device is not on this machine; the message names the package or driver to install."""


@dataclass(frozen=True)
class EngineOptions:
    """Options of TensorRT's engine builder.

    optimization_level: 0 to 5; a higher level tries more kernels: the build takes longer, the engine may run faster.
    workspace_mb:       the most memory that a layer may use besides its tensors; 0 leaves the limit to TensorRT.
    dla_core:           the deep-learning accelerator of a Jetson to use, or NO_DLA for the GPU.

    Raises ValueError, naming the range, for values out of range.
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
            raise ValueError(f"workspace_mb must be 0 (TensorRT's own limit) or more, not {self.workspace_mb}")
        if self.dla_core < NO_DLA:
            raise ValueError(f"dla_core must be {NO_DLA} (the GPU) or the number of a core, not {self.dla_core}")


def unusable(path: Path, error: Exception) -> ValueError:
    """The error to raise for a file that a runtime cannot read; runtimes raise many types of their own."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    reason = lines[0].strip() if lines else type(error).__name__
    return ValueError(f"'{path}' is not a usable ONNX file ({reason}): export it again")


def check_precision(backend: str, precision: str) -> None:
    """Raise ValueError, naming the choices, for a precision that a backend does not compute in."""
    if precision not in ("auto", *PRECISIONS[backend]):
        choices = ", ".join(("auto", *PRECISIONS[backend]))
        raise ValueError(f"unknown precision '{precision}' for the {backend} backend: use one of {choices}")


class Backend(Protocol):
    """A loaded network. `extract` may be called with images of changing size, from one thread at a time."""

    name: str  # as in the `backend` parameter
    device: str  # the device that runs the network, for diagnostics
    precision: str  # the precision that the network runs in
    reason: str  # why the backend chose this precision; empty if the caller did
    model: Path  # the file that was opened; what runs may be the int8 version beside it
    digest: str  # SHA-256 of that file, as it was when the network was read
    metadata: Mapping[str, str]  # the metadata of that file, likewise
    border: int  # pixels lost on each side; 2 * border + 1 is the receptive field
    descriptor_dim: int
    max_keypoints: int

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        """Features of a contiguous grey image (H, W), best score first; the arrays are the caller's."""
        ...


@runtime_checkable
class ClosableBackend(Protocol):
    """A backend that may be busy for minutes and can be told to stop."""

    def close(self) -> None:
        """Cancel the work that another thread is doing in this backend; that thread's call raises."""
        ...


@runtime_checkable
class MatchingBackend(Protocol):
    """A backend that keeps the descriptors of its last image and can match the next image with them."""

    def extract_and_match(
        self, image: NDArray[np.uint8], previous: NDArray[np.float32] | None
    ) -> tuple[Extracted, Matched | None]:
        """Features as `extract` gives them, and their mutual nearest neighbours among `previous`.

        previous: descriptors that this backend returned, the same object; None for no matches. The matches are None if
        the backend no longer holds them: they are not of its last image, or the image size changed or a run failed.
        """
        ...
