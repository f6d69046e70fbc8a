"""Binary descriptors: codes of 256 bits for back-ends and vocabularies that compare by Hamming distance.

code = binary_code(model)                       # what training.binary learned and stored in the model file
a, b = code.encode(features0.descriptors), code.encode(features1.descriptors)
matches = hamming_match(a, b, max_distance=64)

The layout is ORB's, (N, 32) uint8: OpenCV's NORM_HAMMING and DBoW vocabularies take the rows as they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .matcher import match
from .types import Features, Matches

BITS = 256
METADATA_KEY = "binary256"

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class BinaryCode:
    """Bit k of a descriptor d is whether d @ projection[:, k] is above thresholds[k].

    projection: (D, 256) float32.
    thresholds: (256,) float32.

    Raises ValueError for other shapes, and for values that are not finite.
    """

    projection: Floats
    thresholds: Floats

    def __post_init__(self) -> None:
        for name in ("projection", "thresholds"):
            values = np.ascontiguousarray(getattr(self, name), np.float32)
            if not np.isfinite(values).all():
                raise ValueError(f"{name} of a binary code must be finite numbers")
            object.__setattr__(self, name, values)
        if self.projection.ndim != 2 or self.projection.shape[1] != BITS or self.thresholds.shape != (BITS,):
            raise ValueError(
                f"a binary code has a projection (D, {BITS}) and thresholds ({BITS},), not {self.projection.shape} "
                f"and {self.thresholds.shape}"
            )

    @property
    def descriptor_dim(self) -> int:
        """D, the length of the float descriptors that it encodes."""
        return len(self.projection)

    def encode(self, descriptors: Floats) -> Codes:
        """Codes (N, 32) uint8 of descriptors (N, D); bit 0 of a code is the highest bit of its first byte.

        Raises ValueError for descriptors of another length.
        """
        descriptors = np.asarray(descriptors, np.float32)
        if descriptors.ndim != 2 or descriptors.shape[1] != self.descriptor_dim:
            raise ValueError(
                f"this binary code takes descriptors (N, {self.descriptor_dim}), not {descriptors.shape}: "
                "use the code of the model that extracted them"
            )
        return np.packbits(descriptors @ self.projection > self.thresholds, axis=1)

    def to_metadata(self) -> dict[str, str]:
        """The entry for a model file's metadata: base64 of the projection's rows and the thresholds, as float16.

        Raises ValueError for a value beyond float16.
        """
        with np.errstate(over="ignore"):
            values = np.concatenate([self.projection, self.thresholds[None]]).astype("<f2")
        if not np.isfinite(values).all():
            raise ValueError("a binary code's values must be within +-65504: scale each bit's projection to unit norm")
        return {METADATA_KEY: base64.b64encode(values.tobytes()).decode("ascii")}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> BinaryCode | None:
        """The code in a model file's metadata, or None where there is none.

        Raises ValueError for a damaged entry, and for one of another `descriptor_dim` than the metadata's.
        """
        if METADATA_KEY not in metadata:
            return None
        try:
            content = base64.b64decode(metadata[METADATA_KEY], validate=True)
            descriptor_dim = int(metadata["descriptor_dim"])
        except (KeyError, ValueError, binascii.Error) as error:
            raise ValueError(f"the metadata of the binary code are damaged ({error}): train it again") from error
        expected = 2 * (descriptor_dim + 1) * BITS
        if len(content) != expected:
            raise ValueError(
                f"the binary code has {len(content)} bytes instead of the {expected} for descriptors of length "
                f"{descriptor_dim}: train it again for this model"
            )
        values = np.frombuffer(content, "<f2").astype(np.float32).reshape(descriptor_dim + 1, BITS)
        return cls(values[:-1], values[-1])


def binary_code(model: Path) -> BinaryCode:
    """The binary code in an exported ONNX file.

    Raises FileNotFoundError, or ValueError naming the file and the fix for one that has no code, or a damaged one.
    """
    from .backends.metadata import read_metadata  # ONNX Runtime, only where a file is read

    try:
        code = BinaryCode.from_metadata(read_metadata(model))
    except ValueError as error:
        raise ValueError(f"'{model}': {error}") from error
    if code is None:
        raise ValueError(
            f"'{model}' has no binary code: train one with python -m training.binary {model} --images PHOTOS"
        )
    return code


FORMATS = ("float32", "float16", "binary256")


def encoder(descriptor_format: str, model: Path) -> Callable[[Floats], NDArray[Any]]:
    """What turns descriptors (N, D) float32 of a model into a format: one of FORMATS.

    "float16" are their bits as uint16, for want of such a type in messages. "binary256" are codes (N, 32) uint8.
    Raises ValueError, naming the fix, for an unknown format and for a model without a binary code.
    """
    if descriptor_format not in FORMATS:
        raise ValueError(f"unknown descriptor_format '{descriptor_format}': choose one of {', '.join(FORMATS)}")
    if descriptor_format == "binary256":
        return binary_code(model).encode
    return _half_bits if descriptor_format == "float16" else np.asarray


def _half_bits(descriptors: Floats) -> NDArray[np.uint16]:
    return descriptors.astype("<f2").view("<u2")


def decode(encoded: NDArray[Any]) -> Floats:
    """Descriptors (N, D) float32 of any format; codes become `unit_vectors`, whose cosines tell Hamming distances."""
    if encoded.dtype == np.uint8:
        return unit_vectors(encoded)
    return np.asarray(encoded.view("<f2") if encoded.dtype == np.uint16 else encoded, np.float32)


def unit_vectors(codes: Codes) -> Floats:
    """Codes (N, 32) uint8 as (N, 256) float32 of +-1/16: their cosine is 1 - distance / 128, exactly.

    In this form they are descriptors like others: `silk_ros.match` takes them with all of its filters.
    Raises ValueError for another shape or type.
    """
    codes = np.asarray(codes)
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != BITS // 8:
        raise ValueError(f"binary codes must be (N, {BITS // 8}) uint8, not {codes.shape} {codes.dtype}")
    return (np.unpackbits(codes, axis=1).astype(np.float32) - np.float32(0.5)) / 8


def hamming_match(a: Codes, b: Codes, max_distance: float | None = None) -> Matches:
    """Mutual nearest neighbours by Hamming distance between codes (N, 32) and (M, 32) uint8, in the order of `a`.

    Their similarity is 1 - distance / 128: 1 for equal codes, about 0 for unrelated ones.
    Equal distances are frequent: of the nearest in `b` the first counts, it goes with each row of `a` that is as near
    to it as any, and the first of these has it.

    max_distance: in [0, 256]; keep a match of at most this many different bits.

    Raises ValueError for codes of another shape or type, or a distance out of range.
    """
    if max_distance is not None and not 0 <= max_distance <= BITS:
        raise ValueError(f"max_distance must be between 0 and {BITS}, not {max_distance}")
    sides = [
        Features(np.zeros((len(codes), 2), np.float32), np.zeros(len(codes), np.float32), unit_vectors(codes))
        for codes in (a, b)
    ]
    return match(sides[0], sides[1], min_similarity=None if max_distance is None else 1 - max_distance / (BITS // 2))
