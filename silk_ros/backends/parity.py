"""Comparison of a compiled network with the float32 network, on photographs in the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .base import Extracted

BLOCK_ROWS = 256  # rows of the distance matrix in memory at a time

Extract = Callable[[NDArray[np.uint8]], Extracted]
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Tolerance:
    """Bounds of a `Parity`: the least overlap and cosine, the largest displacement."""

    overlap: float
    cosine: float
    displacement: float


# By precision: wider than what the shipped network loses at any size and number of keypoints (docs/performance.md).
TOLERANCES = {
    "fp32": Tolerance(0.99, 0.9999, 0.03),
    "fp16": Tolerance(0.97, 0.999, 0.09),
    "int8": Tolerance(0.75, 0.98, 0.75),
}
# The same with selection rules: which position is the best one beside others is a closer decision.
SELECTED_TOLERANCES = TOLERANCES | {"int8": Tolerance(0.5, 0.98, 1.0)}
FAR = 3.0  # pixels; the displacement of a keypoint that is not found again


@dataclass(frozen=True)
class Parity:
    """How well a compiled network agrees with the float32 network; means over images.

    overlap:      share of the keypoints that are the same.
    cosine:       mean cosine between the descriptors of these keypoints.
    displacement: pixels from each keypoint to the nearest one of the float32 network, at most FAR.
    """

    overlap: float
    cosine: float
    displacement: float

    def within(self, precision: str, selected: bool = False) -> bool:
        """Whether the agreement is within the tolerances of a precision, those with selection rules if `selected`."""
        bounds = (SELECTED_TOLERANCES if selected else TOLERANCES)[precision]
        return bool(
            self.overlap >= bounds.overlap and self.cosine >= bounds.cosine and self.displacement <= bounds.displacement
        )

    def __str__(self) -> str:
        return (
            f"{self.overlap:.1%} of the keypoints are the same, descriptors have a cosine of {self.cosine:.4f}, "
            f"displacement {self.displacement:.3f} px"
        )


def photographs(height: int, width: int) -> list[NDArray[np.uint8]]:
    """The package's photographs (see images/README.md) as grey images (height, width), cropped or padded by reflection.

    They are not resized: that would change their texture.
    """
    paths = sorted((Path(__file__).parent / "images").glob("*.jpg"))
    if not paths:
        raise FileNotFoundError("the photographs for checking networks are missing: install silk_ros again")
    read = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths)
    return [_fitted(np.asarray(image, np.uint8), height, width) for image in read if image is not None]


def _fitted(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    below, right = max(0, height - image.shape[0]), max(0, width - image.shape[1])
    padded = np.pad(image, ((0, below), (0, right)), "reflect")
    top, left = (padded.shape[0] - height) // 2, (padded.shape[1] - width) // 2
    return np.ascontiguousarray(padded[top : top + height, left : left + width])


def common_keypoints(a: Points, b: Points) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of a (N, 2) and of b (M, 2) that hold the same point, in the order of b."""
    rows = {tuple(point): row for row, point in enumerate(a.tolist())}
    pairs = [(rows[key], row) for row, point in enumerate(b.tolist()) if (key := tuple(point)) in rows]
    here, there = np.array(pairs, np.intp).reshape(-1, 2).T
    return here, there


def _displacement(expected: Points, found: Points) -> float:
    """Mean distance from each found point to the nearest expected point, each at most FAR."""
    blocks = (found[start : start + BLOCK_ROWS] for start in range(0, len(found), BLOCK_ROWS))
    nearest = [np.linalg.norm(block[:, None] - expected, axis=2).min(axis=1) for block in blocks]
    return float(np.minimum(np.concatenate(nearest), FAR).mean())


def compare(reference: Extract, compiled: Extract, images: list[NDArray[np.uint8]]) -> Parity:
    """The agreement of a compiled network with the float32 network; NaN, within no tolerance, for NaN outputs."""
    rows = []
    for image in images:
        expected, _, expected_descriptors = (values.copy() for values in reference(image))
        found, _, descriptors = compiled(image)
        here, there = common_keypoints(expected, found)
        cosines = np.einsum("nd,nd->n", expected_descriptors[here], descriptors[there])
        cosine = cosines.mean() if len(here) else 0.0
        rows.append((len(here) / len(expected), cosine, _displacement(expected, found)))
    return Parity(*np.mean(rows, axis=0).tolist())
