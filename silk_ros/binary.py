"""Binary descriptors: codes of 256 bits for back-ends and vocabularies that compare by Hamming distance.

code = binary_code(model)                       # learned by training.binary and stored in the model file
a, b = code.encode(features0.descriptors), code.encode(features1.descriptors)
matches = hamming_match(a, b, max_distance=64)

The layout is that of ORB, (N, 32) uint8: OpenCV's NORM_HAMMING and DBoW vocabularies take the rows unchanged.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .backends.model import Model
from .matcher import match
from .types import Features, Matches

BITS = 256
METADATA_KEY = "binary256"

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class BinaryCode:
    """A binary code: bit k of a descriptor d is set if d @ projection[:, k] is in an interval of its own.

    projection: (D, 256) float32.
    thresholds: (2, 256) float32; bit k is set above thresholds[0, k], up to and including thresholds[1, k].

    Raises ValueError for other shapes and for values that are not finite.
    """

    projection: Floats
    thresholds: Floats

    def __post_init__(self) -> None:
        for name in ("projection", "thresholds"):
            values = np.ascontiguousarray(getattr(self, name), np.float32)
            if not np.isfinite(values).all():
                raise ValueError(f"{name} of a binary code must be finite numbers")
            object.__setattr__(self, name, values)
        if self.projection.ndim != 2 or self.projection.shape[1] != BITS or self.thresholds.shape != (2, BITS):
            raise ValueError(
                f"a binary code has a projection (D, {BITS}) and thresholds (2, {BITS}), not {self.projection.shape} "
                f"and {self.thresholds.shape}"
            )

    @property
    def descriptor_dim(self) -> int:
        """D, the length of the float descriptors."""
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
        projected, (lower, upper) = descriptors @ self.projection, self.thresholds
        return np.packbits((projected > lower) & (projected <= upper), axis=1)

    def to_metadata(self) -> dict[str, str]:
        """The entry for a model file's metadata: base64 of the projection's rows and the thresholds' in float16.

        Raises ValueError for a value beyond float16.
        """
        with np.errstate(over="ignore"):
            values = np.concatenate([self.projection, self.thresholds]).astype("<f2")
        if not np.isfinite(values).all():
            raise ValueError("a binary code's values must be within +-65504: scale each bit's projection to unit norm")
        return {METADATA_KEY: base64.b64encode(values.tobytes()).decode("ascii")}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> BinaryCode | None:
        """The code in a model file's metadata, or None without an entry.

        Raises ValueError for a damaged entry, and for an entry that does not fit the metadata's `descriptor_dim`.
        """
        if METADATA_KEY not in metadata:
            return None
        try:
            content = base64.b64decode(metadata[METADATA_KEY], validate=True)
            descriptor_dim = int(metadata["descriptor_dim"])
        except (KeyError, ValueError, binascii.Error) as error:
            raise ValueError(f"the metadata of the binary code are damaged ({error}): train it again") from error
        expected = 2 * (descriptor_dim + 2) * BITS
        if len(content) != expected:
            raise ValueError(
                f"the binary code has {len(content)} bytes instead of the {expected} for descriptors of length "
                f"{descriptor_dim}: train it again for this model with python -m training.binary"
            )
        values = np.frombuffer(content, "<f2").astype(np.float32).reshape(descriptor_dim + 2, BITS)
        return cls(values[:-2], values[-2:])


def binary_code(model: str | Path) -> BinaryCode:
    """The binary code in an exported ONNX file, which is read for it.

    Raises FileNotFoundError, or ValueError, naming the file and the fix, if the code is missing or damaged.
    """
    path = Path(model)
    return stored_code(path, Model(path).file("fp32").metadata)


def stored_code(model: Path, metadata: Mapping[str, str]) -> BinaryCode:
    """The binary code in the metadata that were read from the file `model`; raises ValueError as `binary_code`."""
    try:
        code = BinaryCode.from_metadata(metadata)
    except ValueError as error:
        raise ValueError(f"'{model}': {error}") from error
    if code is None:
        raise ValueError(
            f"'{model}' has no binary code: train one with python -m training.binary {model} --images PHOTOS"
        )
    return code


def unit_vectors(codes: Codes) -> Floats:
    """Codes (N, 32) uint8 as unit vectors (N, 256) float32 of +-1/16, whose cosine is exactly 1 - distance / 128.

    `silk_ros.match` takes them, with all of its filters, as it takes other descriptors.
    Raises ValueError for another shape or type.
    """
    return (np.unpackbits(checked_codes(codes), axis=1).astype(np.float32) - np.float32(0.5)) / 8


def checked_codes(codes: Codes) -> Codes:
    """Codes (N, 32) uint8 as they are given; raises ValueError for another shape or type."""
    codes = np.asarray(codes)
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != BITS // 8:
        raise ValueError(f"binary codes must be (N, {BITS // 8}) uint8, not {codes.shape} {codes.dtype}")
    return codes


def hamming_match(a: Codes, b: Codes, max_distance: float | None = None) -> Matches:
    """Mutual nearest neighbours by Hamming distance between codes (N, 32) and (M, 32) uint8, in the order of `a`.

    Their similarity is 1 - distance / 128: 1 for equal codes, about 0 for unrelated ones.
    Equal distances are frequent; the first of several nearest rows is taken, in `b` and then in `a`.

    max_distance: in [0, 256]; matches with more different bits are dropped.

    Raises ValueError for codes of another shape or type, or a distance out of range.
    """
    if max_distance is not None and not 0 <= max_distance <= BITS:
        raise ValueError(f"max_distance must be between 0 and {BITS}, not {max_distance}")
    sides = [
        Features(np.zeros((len(codes), 2), np.float32), np.zeros(len(codes), np.float32), unit_vectors(codes))
        for codes in (a, b)
    ]
    return match(sides[0], sides[1], min_similarity=None if max_distance is None else 1 - max_distance / (BITS // 2))
