"""The interface of a compared method: a detector, its descriptors and its matcher."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...matcher import match
from ...types import Features

DEFAULT_PRECISION = "fp32"  # results then do not depend on the processor


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Features that a method finds in one image, best score first.

    keypoints (N, 2) float32, x y in pixels, the centre of the top-left pixel is (0, 0). scores (N,) float32.
    descriptors (N, D) float32 of unit norm, or (N, bytes) uint8 for binary descriptors.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    descriptors: NDArray[Any]

    def __len__(self) -> int:
        return len(self.keypoints)

    def best(self, count: int) -> Keypoints:
        """The first `count` keypoints."""
        return Keypoints(self.keypoints[:count], self.scores[:count], self.descriptors[:count])

    @classmethod
    def none(cls, descriptors: NDArray[Any]) -> Keypoints:
        """No keypoints; `descriptors` is (0, D) of the method's type."""
        return cls(np.empty((0, 2), np.float32), np.empty(0, np.float32), descriptors)


class Method(Protocol):
    """A detector, its descriptors and its matcher."""

    name: str

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        """Features of a grey image (H, W), best score first; possibly none."""

    def match(
        self, a: Keypoints, b: Keypoints, ratio: float | None = None, double_softmax: float | None = None
    ) -> NDArray[np.int32]:
        """Rows (M, 2) of mutual nearest neighbours. The filters are those of `silk_ros.match`."""


class FloatMethod:
    """Base class of methods with unit float descriptors, which `silk_ros.match` matches."""

    name: str

    def match(
        self, a: Keypoints, b: Keypoints, ratio: float | None = None, double_softmax: float | None = None
    ) -> NDArray[np.int32]:
        first, second = (Features(found.keypoints, found.scores, found.descriptors) for found in (a, b))
        return match(first, second, ratio=ratio, double_softmax=double_softmax).indices


class Cached:
    """A method that keeps the features of every image, identified by its content.

    A sweep over top-k or a matching filter then extracts each image once. Memory is never released: 5 MB for an image
    with 10,000 SIFT features.
    """

    def __init__(self, method: Method) -> None:
        self.name, self.match = method.name, method.match
        self._method = method
        self._found: dict[tuple[tuple[int, ...], bytes], Keypoints] = {}

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        key = image.shape, hashlib.sha256(image.tobytes()).digest()
        if key not in self._found:
            self._found[key] = self._method.extract(image)
        return self._found[key]
