"""Descriptors of refined keypoints: those of the network, interpolated between the places where it gave them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .handover import row_image
from .types import Features


def interpolated(features: Features, grid: NDArray[np.float32], pixel: float) -> Features:
    """The features with descriptors that describe the positions of their keypoints.

    They are bilinear in the descriptors at the four pixels of the network around a position, without those that are no
    keypoints. Where none of them is one, a keypoint keeps its descriptor.

    grid:  (N, 2) float32, where the network found the keypoints, which is where its descriptors belong.
    pixel: side of a pixel of the network's image, in pixels of the image.
    """
    rows = np.flatnonzero((features.keypoints != grid).any(axis=1))
    if not len(rows):
        return features
    image, cells = row_image(grid, pixel)
    padded = np.vstack([features.descriptors, np.zeros_like(features.descriptors[:1])])
    place = cells[rows] + (features.keypoints[rows] - grid[rows]) / np.float32(pixel)
    low = np.floor(place).astype(np.intp)
    right, below = (place - low).astype(np.float32).T
    found = np.zeros((len(rows), padded.shape[1]), np.float32)
    for dx, across in ((0, 1 - right), (1, right)):
        for dy, down in ((0, 1 - below), (1, below)):
            neighbours = padded.take(image[low[:, 1] + dy, low[:, 0] + dx], axis=0)
            neighbours *= (across * down)[:, None]
            found += neighbours
    length = np.sqrt(np.einsum("nd,nd->n", found, found))
    known = length > 0
    descriptors = features.descriptors.copy()
    descriptors[rows[known]] = found[known] / length[known, None]
    return replace(features, descriptors=descriptors)
