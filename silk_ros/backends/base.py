"""What every backend offers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """A loaded network. `extract` may be called with images of changing size, from one thread at a time."""

    name: str  # as in the `backend` parameter
    device: str  # where it really runs, for diagnostics
    precision: str  # what it really computes in
    model: Path
    border: int  # pixels lost on each side; 2 * border + 1 is the receptive field
    descriptor_dim: int
    max_keypoints: int

    def extract(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Keypoints (K, 2), scores (K,), descriptors (K, D) of a contiguous grey image (H, W), best score first."""
        ...
