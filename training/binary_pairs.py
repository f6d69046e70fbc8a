"""Pairs of views with the descriptors of the same points, from which a binary code is learned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from silk_ros import Extractor
from silk_ros.geometry.homography import warp_points
from silk_ros.types import Features, Matches

from .config import DEFAULT_CONFIG, load_config
from .data import HomographyPairs
from .photos import Photos

SIDE = 400  # pixels of a crop: most photographs need not be enlarged
# The views differ as those of a camera some frames later do, by much less than those that the network learns from.
VIEWS = load_config(DEFAULT_CONFIG).changed(scale=[0.9, 1.0], tilt=0.2, roll=0.1, zoom=1.0, augmentation="pose")
SAME, OTHER = 1.0, 2.0  # pixels of the network: as far at most, and farther


class DescriptorPair(NamedTuple):
    """Features of two views of a photograph, and which of them are of one point.

    same:         (C, 2) rows of a and b that are the same point, one to one.
    other_b:      (C, M) whether each row of b is another point than `same[:, 0]`.
    other_a:      (C, N) whether each row of a is another point than `same[:, 1]`.
    Rows that are neither are too near to tell.
    """

    a: Features
    b: Features
    same: NDArray[np.int64]
    other_b: NDArray[np.bool_]
    other_a: NDArray[np.bool_]

    @classmethod
    def of(cls, a: Features, b: Features, homography: NDArray[np.float64], pixel: float) -> DescriptorPair:
        """The pair of two views' features.

        homography: (3, 3), pixels of view a to those of view b.
        pixel:      side of a pixel of the network in these.
        """
        warped = np.clip(warp_points(homography, a.keypoints, ahead=True), -1e6, 1e6)  # points at the horizon are inf
        distance = torch.cdist(torch.from_numpy(warped), torch.from_numpy(b.keypoints.astype(np.float64)))
        nearest, column = distance.min(dim=1)
        back = distance.argmin(dim=0)[column]
        rows = torch.nonzero((nearest <= SAME * pixel) & (back == torch.arange(len(a))))[:, 0]
        same, other = torch.stack([rows, column[rows]], dim=1).numpy(), (distance > OTHER * pixel).numpy()
        return cls(a, b, same, other[same[:, 0]], other[:, same[:, 1]].T)

    def recall(self, matches: Matches) -> float:
        """Share of the same points that are matched."""
        same, matched = (set(map(tuple, rows.tolist())) for rows in (self.same, matches.indices))
        return len(same & matched) / len(same)


def descriptor_pairs(extractor: Extractor, photos: Photos, count: int, seed: int) -> list[DescriptorPair]:
    """Features of `count` pairs of views, with the augmentation of the shipped recipe.

    Pairs without a common point are left out. Raises ValueError if no pair is left.
    """
    border = extractor.backend.border
    views = HomographyPairs(photos, VIEWS, border, 1, count, SIDE - 2 * border, seed)
    pairs = []
    for index in tqdm(range(count), desc="describing", unit="pair"):
        images, _, homography = views[index]
        a, b = (extractor(np.ascontiguousarray(image[0].numpy())) for image in images)
        pair = DescriptorPair.of(a, b, homography.numpy(), 1 / extractor.scale)
        if len(pair.same):
            pairs.append(pair)
    if not pairs:
        raise ValueError("no keypoint of any image is found again in its second view: give photographs with texture")
    return pairs
