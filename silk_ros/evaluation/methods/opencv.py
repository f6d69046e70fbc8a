"""OpenCV's features: SIFT, ORB and AKAZE."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...matcher import check_filters
from .base import Keypoints


class OpenCVMethod:
    """A cv2.Feature2D. Distances are Euclidean for float descriptors and Hamming for binary ones."""

    def __init__(self, name: str, detector: cv2.Feature2D, max_keypoints: int) -> None:
        self.name, self._detector, self._max_keypoints = name, detector, max_keypoints

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        found, descriptors = self._detector.detectAndCompute(image, None)
        if not found:
            return Keypoints.none(np.empty((0, 1), np.uint8))
        # The detectors sort by octave, and may return a few more keypoints than requested.
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


def akaze(max_keypoints: int) -> OpenCVMethod:
    """AKAZE. Raises ModuleNotFoundError, naming what to install, for an OpenCV without it."""
    # OpenCV 5 moved it to the contrib modules.
    module: Any = cv2 if hasattr(cv2, "AKAZE") else getattr(cv2, "xfeatures2d", None)
    if not hasattr(module, "AKAZE"):
        raise ModuleNotFoundError(
            f"this OpenCV {cv2.__version__} has no AKAZE: pip install 'silk_ros[evaluate]' installs one that has it"
        )
    return OpenCVMethod("AKAZE", module.AKAZE.create(), max_keypoints)
