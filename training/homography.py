"""Random homographies and the dense correspondences they define (paper, Sec. 3.4.1).

Coordinates are (x, y) with the centre of the top-left pixel at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class HomographyRange:
    """What a random view change may be. Angles in radians; `scale` is the visible share of the crop's side, head-on.

    mixed_strength: each change is a random share of the full one, instead of always the full one.
    """

    scale: tuple[float, float] = (0.6, 0.9)
    tilt: float = 0.78  # about the x and y axes
    roll: float = 0.39  # in the image plane
    mixed_strength: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale {self.scale} must be (low, high) with 0 < low <= high <= 1")
        if not 0 <= self.tilt < np.pi / 2:
            raise ValueError(f"tilt ({self.tilt}) must be in radians, from 0 to less than pi / 2")
        if not 0 <= self.roll <= np.pi:
            raise ValueError(f"roll ({self.roll}) must be in radians, from 0 to pi")


# The crop is seen by a camera three half-sides away: a field of view of 37 degrees.
_CAMERA_DISTANCE = 3.0


def random_homography(size: int, limits: HomographyRange, rng: np.random.Generator) -> np.ndarray:
    """Homography (3, 3) from pixels of a size x size crop to pixels of its random view, same size.

    A tilted, scaled copy of the crop is seen by a pinhole camera; the quadrilateral it projects to, at a random place
    inside the crop, is what fills the second image.
    """
    strength = rng.uniform() if limits.mixed_strength else 1.0
    rx, ry = strength * rng.uniform(-limits.tilt, limits.tilt, 2)
    rz = strength * rng.uniform(-limits.roll, limits.roll)
    scale = 1 - strength * (1 - rng.uniform(*limits.scale))
    rotation = cv2.Rodrigues(np.array([0.0, 0.0, rz]))[0] @ cv2.Rodrigues(np.array([rx, ry, 0.0]))[0]
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=np.float64)
    rotated = corners @ rotation.T
    quad = _CAMERA_DISTANCE * rotated[:, :2] / (_CAMERA_DISTANCE + rotated[:, 2:])
    quad *= scale
    low, high = quad.min(axis=0), quad.max(axis=0)
    quad = (quad - (low + high) / 2) * min(1.0, 2 / (high - low).max())  # the near side may have grown out of the crop
    slack = 1 - np.abs(quad).max(axis=0)
    quad += rng.uniform(-slack, slack)

    half = (size - 1) / 2
    source = (quad * half + half).astype(np.float32)
    target = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32) * (size - 1)
    homography = cv2.getPerspectiveTransform(source, target)
    # OpenCV makes the last element 1; what is in view shall have a positive depth, even if pixel (0, 0) has not.
    return homography * np.sign(homography[2] @ [*source[0], 1.0])


def warp_points(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (N, 2) by a homography; points at or behind the horizon become infinite."""
    mapped = points @ homography[:, :2].T + homography[:, 2]
    depth = np.where(mapped[:, 2:] > 1e-9, mapped[:, 2:], np.nan)
    return np.nan_to_num(mapped[:, :2] / depth, nan=np.inf, posinf=np.inf, neginf=np.inf)


def _discrete_map(homography: np.ndarray, size: int) -> np.ndarray:
    """For each cell of a size x size map, row by row, the cell its position falls in after warping, or -1."""
    y, x = np.mgrid[:size, :size]
    warped = warp_points(homography, np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64))
    inside = np.all((warped > -0.5) & (warped < size - 0.5), axis=1)
    cells = np.floor(np.where(inside[:, None], warped, 0) + 0.5).astype(np.int64)
    return np.where(inside, cells[:, 1] * size + cells[:, 0], -1)


def dense_correspondences(homography: np.ndarray, map_size: int, border: int, stride: int = 1) -> np.ndarray:
    """Bijective correspondences (M, 2) int64 between the flat, row-major positions of two dense maps.

    `homography` maps pixels of image 0 to pixels of image 1; map position (i, j) is pixel
    (j * stride + border, i * stride + border).
    Positions are discretised both ways, and kept only where the way back returns to the start.
    """
    to_pixel = np.array([[stride, 0, border], [0, stride, border], [0, 0, 1]], dtype=np.float64)
    in_map = np.linalg.inv(to_pixel) @ homography @ to_pixel
    forward = _discrete_map(in_map, map_size)
    backward = _discrete_map(np.linalg.inv(in_map), map_size)
    source = np.flatnonzero(forward >= 0)
    source = source[backward[forward[source]] == source]
    return np.stack([source, forward[source]], axis=1)
