"""Random homographies and dense correspondences (paper, Sec. 3.4.1). The centre of the top-left pixel is (0, 0)."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from silk_ros.geometry.homography import warp_points

_CAMERA_DISTANCE = 3.0  # half-sides of the crop: a field of view of 37 degrees


class HomographyRange(NamedTuple):
    """Limits of a random view change; angles in radians."""

    scale: tuple[float, float] = (0.6, 0.9)  # visible share of the crop's side in a frontal view
    tilt: float = 0.78  # about the x and y axes
    roll: float = 0.39  # in the image plane
    mixed_strength: bool = False  # multiply all changes of a view by one random factor between 0 and 1


def random_homography(size: int, limits: HomographyRange, rng: np.random.Generator) -> np.ndarray:
    """Homography (3, 3) float64 from pixels (x, y) of a size x size crop to pixels of a random view of the same size.

    The view is filled by a quadrilateral inside the crop: the projection of a tilted, scaled copy by a pinhole camera.
    """
    strength = rng.uniform() if limits.mixed_strength else 1.0
    rx, ry = strength * rng.uniform(-limits.tilt, limits.tilt, 2)
    rz = strength * rng.uniform(-limits.roll, limits.roll)
    scale = 1 - strength * (1 - rng.uniform(*limits.scale))
    rotation = cv2.Rodrigues(np.array([0.0, 0.0, rz]))[0] @ cv2.Rodrigues(np.array([rx, ry, 0.0]))[0]
    rotated = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) @ rotation.T
    quad = scale * (_CAMERA_DISTANCE * rotated[:, :2] / (_CAMERA_DISTANCE + rotated[:, 2:]))
    low, high = quad.min(axis=0), quad.max(axis=0)
    quad = (quad - (low + high) / 2) * min(1.0, 2 / (high - low).max())  # the near side may project outside the crop
    slack = 1 - np.abs(quad).max(axis=0)
    quad += rng.uniform(-slack, slack)

    half = (size - 1) / 2
    source = (quad * half + half).astype(np.float32)
    target = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32) * (size - 1)
    homography = cv2.getPerspectiveTransform(source, target)
    # OpenCV sets the last element to 1; the sign makes the depth of the visible pixels positive.
    return homography * np.sign(homography[2] @ [*source[0], 1.0])


def _discrete_map(homography: np.ndarray, size: int) -> np.ndarray:
    """Flat index (size * size,) of the cell that each position of a map is warped into, row by row; -1 outside."""
    y, x = np.mgrid[:size, :size]
    warped = warp_points(homography, np.stack([x.ravel(), y.ravel()], axis=1), ahead=True)
    inside = np.all((warped > -0.5) & (warped < size - 0.5), axis=1)
    cells = np.floor(np.where(inside[:, None], warped, 0) + 0.5).astype(np.int64)
    return np.where(inside, cells[:, 1] * size + cells[:, 0], -1)


def dense_correspondences(homography: np.ndarray, map_size: int, border: int, stride: int = 1) -> np.ndarray:
    """Bijective correspondences (M, 2) int64 between the flat, row-major positions of two dense maps.

    `homography` maps pixels of image 0 to image 1; map position (row i, column j) is pixel (j * stride + border,
    i * stride + border). Warped positions are rounded both ways, and kept where the inverse returns to the start.
    """
    to_pixel = np.array([[stride, 0, border], [0, stride, border], [0, 0, 1]], dtype=np.float64)
    in_map = np.linalg.inv(to_pixel) @ homography @ to_pixel
    forward = _discrete_map(in_map, map_size)
    backward = _discrete_map(np.linalg.inv(in_map), map_size)
    source = np.flatnonzero(forward >= 0)
    source = source[backward[forward[source]] == source]
    return np.stack([source, forward[source]], axis=1)
