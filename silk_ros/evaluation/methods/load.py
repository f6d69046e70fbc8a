"""Methods by name: exported networks, OpenCV's features, and peers from PyPI."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...extractor import DEFAULT_SCALE, Extractor
from .base import DEFAULT_PRECISION, FloatMethod, Keypoints, Method
from .opencv import OpenCVMethod, akaze
from .peers import LightGlueMethod, XFeat

METHODS: dict[str, Callable[[int], Method]] = {
    "sift": lambda count: OpenCVMethod("SIFT", cv2.SIFT.create(count), count),
    "orb": lambda count: OpenCVMethod("ORB", cv2.ORB.create(count), count),
    "akaze": akaze,
    "xfeat": XFeat,
    "aliked": partial(LightGlueMethod, "ALIKED"),
    "disk": partial(LightGlueMethod, "DISK"),
}


class OnnxMethod(FloatMethod):
    """A network exported by `training.export`, run by the backend that the node would select."""

    def __init__(self, path: str | None, max_keypoints: int, scale: float, precision: str) -> None:
        self.name = Path(path).stem if path else "SiLK"
        self._extractor = Extractor.load(path, max_keypoints, precision=precision, scale=scale)
        self.backend = self._extractor.backend

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        features = self._extractor(image)
        return Keypoints(features.keypoints, features.scores, features.descriptors)


def load_method(
    name: str, max_keypoints: int, scale: float = DEFAULT_SCALE, precision: str = DEFAULT_PRECISION
) -> Method:
    """A method by its name, `silk` for the shipped network, or the path of an ONNX file.

    `name@2000` limits it to 2000 keypoints. `scale` and `precision` apply to networks, as in `Extractor`.
    Raises ValueError for an unknown name, FileNotFoundError for a missing file, and ModuleNotFoundError, naming what to
    install, for a method whose package is not installed.
    """
    base, at, own = name.rpartition("@")
    if at and own.isdecimal() and int(own):
        method = load_method(base, min(int(own), max_keypoints), scale, precision)
        method.name += f"@{own}"
        return method
    if name == "silk" or name.endswith(".onnx"):
        return OnnxMethod(None if name == "silk" else name, max_keypoints, scale, precision)
    if name not in METHODS:
        raise ValueError(f"unknown method '{name}': choose an ONNX file, silk, {', '.join(METHODS)}")
    return METHODS[name](max_keypoints)
