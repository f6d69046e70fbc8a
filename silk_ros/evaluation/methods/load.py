"""What is compared: an exported network, OpenCV's features, or peers from PyPI, all behind one interface.

method = Cached(load_method("sift", max_keypoints=10_000))
a, b = method.extract(image0), method.extract(image1)
indices = method.match(a, b)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from silk_ros.extractor import DEFAULT_SCALE, Extractor
from silk_ros.matcher import check_filters, match
from silk_ros.paths import default_model
from silk_ros.types import Features

DEFAULT_PRECISION = "fp32"  # so that results do not depend on the processor


@dataclass(frozen=True, eq=False)
class Keypoints:
    """What a method finds in one image, best score first.

    keypoints (N, 2) float32, x y in pixels, the centre of the top-left pixel is (0, 0). scores (N,) float32.
    descriptors (N, D) float32 of unit norm, or (N, bytes) uint8 for binary ones.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    descriptors: NDArray[Any]

    def __len__(self) -> int:
        return len(self.keypoints)

    def best(self, count: int) -> Keypoints:
        """The first `count` of them."""
        return Keypoints(self.keypoints[:count], self.scores[:count], self.descriptors[:count])


def _features(found: Keypoints) -> Features:
    return Features(keypoints=found.keypoints, scores=found.scores, descriptors=found.descriptors)


class Method(Protocol):
    """A detector, its descriptors and its matcher."""

    name: str

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        """Features of a grey image (H, W), best score first; none where the image has none."""

    def match(
        self, a: Keypoints, b: Keypoints, ratio: float | None = None, double_softmax: float | None = None
    ) -> NDArray[np.int32]:
        """Rows (M, 2) of mutual nearest neighbours. The filters are those of `silk_ros.match`."""


class FloatMethod:
    """Base of the methods with unit float descriptors: all are matched by `silk_ros.match`."""

    name: str

    def match(
        self, a: Keypoints, b: Keypoints, ratio: float | None = None, double_softmax: float | None = None
    ) -> NDArray[np.int32]:
        return match(_features(a), _features(b), ratio=ratio, double_softmax=double_softmax).indices


class OnnxMethod(FloatMethod):
    """A network exported by `training.export`, run by the backend that the node would take."""

    def __init__(
        self,
        path: str | Path | None,
        max_keypoints: int,
        scale: float = DEFAULT_SCALE,
        precision: str = DEFAULT_PRECISION,
    ) -> None:
        self.name = Path(path).stem if path else "SiLK"
        self.path = default_model() if path is None else Path(path)
        self._extractor = Extractor.load(path, max_keypoints, precision=precision, scale=scale)

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        features = self._extractor(image)
        return Keypoints(features.keypoints, features.scores, features.descriptors)


class OpenCVMethod:
    """A cv2.Feature2D. Distances for the ratio are Euclidean or Hamming, as is usual for it."""

    def __init__(self, name: str, detector: cv2.Feature2D, max_keypoints: int) -> None:
        self.name, self._detector, self._max_keypoints = name, detector, max_keypoints

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        found, descriptors = self._detector.detectAndCompute(image, None)
        if not found:
            return Keypoints(np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty((0, 1), np.uint8))
        # The detectors order by octave, and may find a few more than asked for.
        scores = np.array([point.response for point in found], np.float32)
        order = np.argsort(-scores, kind="stable")[: self._max_keypoints]
        points = np.array([point.pt for point in found], np.float32)
        return Keypoints(points[order], scores[order], descriptors[order])

    def match(
        self, a: Keypoints, b: Keypoints, ratio: float | None = None, double_softmax: float | None = None
    ) -> NDArray[np.int32]:
        if double_softmax is not None:
            raise ValueError(f"{self.name} has no matching probability: use a ratio")
        check_filters(ratio, None, None)
        if not len(a) or not len(b):
            return np.empty((0, 2), np.int32)
        norm = cv2.NORM_HAMMING if a.descriptors.dtype == np.uint8 else cv2.NORM_L2
        found = cv2.BFMatcher(norm, crossCheck=True).match(a.descriptors, b.descriptors)
        pairs = np.array([(m.queryIdx, m.trainIdx) for m in found], np.int32).reshape(-1, 2)
        if ratio is not None and len(b) > 1:
            rows = cv2.BFMatcher(norm).knnMatch(a.descriptors[pairs[:, 0]], b.descriptors, k=2)
            pairs = pairs[[first.distance <= ratio * second.distance for first, second in rows]]
        return pairs


class Cached:
    """A method that remembers what it found, by the image's content.

    A sweep over top-k or a matching filter then extracts each image once. It holds everything: 5 MB for an image with
    10,000 SIFT features.
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


def _sift(max_keypoints: int) -> Method:
    return OpenCVMethod("SIFT", cv2.SIFT.create(max_keypoints), max_keypoints)


def _orb(max_keypoints: int) -> Method:
    return OpenCVMethod("ORB", cv2.ORB.create(max_keypoints), max_keypoints)


def _akaze(max_keypoints: int) -> Method:
    # OpenCV 5 moved it to the contrib modules.
    module: Any = cv2 if hasattr(cv2, "AKAZE") else getattr(cv2, "xfeatures2d", None)
    if not hasattr(module, "AKAZE"):
        raise ModuleNotFoundError(
            f"AKAZE is not in this OpenCV {cv2.__version__}: pip install 'silk_ros[evaluate]' brings one that has it"
        )
    return OpenCVMethod("AKAZE", module.AKAZE.create(), max_keypoints)


def _peer(name: str) -> Callable[[int], Method]:
    def load(max_keypoints: int) -> Method:
        from .peers import PEERS

        return PEERS[name](max_keypoints)

    return load


METHODS: dict[str, Callable[[int], Method]] = {
    "sift": _sift,
    "orb": _orb,
    "akaze": _akaze,
    "xfeat": _peer("xfeat"),
    "aliked": _peer("aliked"),
    "disk": _peer("disk"),
}


def load_method(
    name: str, max_keypoints: int, scale: float = DEFAULT_SCALE, precision: str = DEFAULT_PRECISION
) -> Method:
    """A method by its name, `silk` for the shipped network, or the path of an ONNX file.

    `name@2000` gives it at most 2000 keypoints. `scale` and `precision` are those of a network, as of `Extractor`.
    Raises ValueError for an unknown name, FileNotFoundError for a file that is not there, and ModuleNotFoundError,
    naming what to install, for a method that is not in this installation.
    """
    base, at, own = name.rpartition("@")
    if at and own.isdecimal() and int(own):
        method = load_method(base, min(int(own), max_keypoints), scale, precision)
        method.name += f"@{own}"
        return method
    if name == "silk":
        return OnnxMethod(None, max_keypoints, scale, precision)
    if name.endswith(".onnx"):
        return OnnxMethod(name, max_keypoints, scale, precision)
    if name not in METHODS:
        raise ValueError(f"unknown method '{name}': choose an ONNX file, silk, {', '.join(METHODS)}")
    return METHODS[name](max_keypoints)
