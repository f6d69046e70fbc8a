"""The formats of descriptors in messages: encoders from float32 and the decoder back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends import Backend
from .binary import stored_code, unit_vectors

FORMATS = ("float32", "float16", "binary256")

Floats = NDArray[np.float32]


def encoder(descriptor_format: str, backend: Backend) -> Callable[[Floats], NDArray[Any]]:
    """The function that converts descriptors (N, D) float32 of a backend's network to one of FORMATS.

    "float16" gives the bits of float16 as uint16, because messages have no such type; "binary256" gives codes (N, 32)
    uint8. Raises ValueError, naming the fix, for an unknown format and for a model without a binary code.
    """
    if descriptor_format not in FORMATS:
        raise ValueError(f"unknown descriptor_format '{descriptor_format}': choose one of {', '.join(FORMATS)}")
    if descriptor_format == "binary256":
        return stored_code(backend.model, backend.metadata).encode
    if descriptor_format == "float16":
        return lambda descriptors: descriptors.astype("<f2").view("<u2")
    return np.asarray


def decode(encoded: NDArray[Any]) -> Floats:
    """Descriptors (N, D) float32 of any format; codes become `unit_vectors`, whose cosines give Hamming distances."""
    if encoded.dtype == np.uint8:
        return unit_vectors(encoded)
    return np.asarray(encoded.view("<f2") if encoded.dtype == np.uint16 else encoded, np.float32)
