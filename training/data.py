"""Image pairs with known correspondences, made from photographs (paper, Sec. 3.4.1)."""

from __future__ import annotations

import random
from operator import itemgetter

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .augmentation import augmentation
from .config import TrainConfig
from .homography import HomographyRange, dense_correspondences, random_homography
from .photos import Photos

CELL = 8  # pixels; side of the cells in which texture is measured
CELL_STD = 4.0  # grey levels; a cell with a smaller standard deviation is flat
ATTEMPTS = 20  # crops drawn at most to find one with enough texture


def textured_share(gray: np.ndarray) -> float:
    """Share of 8x8 cells of a uint8 image (H, W) that are not flat, in [0, 1]."""
    rows, columns = gray.shape[0] // CELL, gray.shape[1] // CELL
    cells = gray[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).astype(np.float32)
    return float((cells.std(axis=(1, 3)) > CELL_STD).mean())


class HomographyPairs(Dataset):
    """Pairs of crops related by a random homography; each depends only on the seed and its index, the step.

    An item is (images uint8 (2, 1, S, S), correspondences int64 (M, 2), homography float64 (3, 3)). The side S of the
    crops gives maps of map_size x map_size positions for the given border and stride; correspondences are flat indices
    into these maps. The homography maps pixels (x, y) of the first crop to pixels of the second.
    """

    def __init__(
        self, photos: Photos, config: TrainConfig, border: int, stride: int, steps: int, map_size: int, seed: int
    ) -> None:
        self.photos, self.border, self.stride, self.steps = photos, border, stride, steps
        self.map_size, self.size = map_size, map_size * stride + 2 * border
        self.seed, self.zoom, self.min_texture = seed, config.zoom, config.min_texture
        self.limits = HomographyRange(config.scale, config.tilt, config.roll, config.mixed_strength)
        self.augment = augmentation(config.augmentation)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, step))
        crop = self._textured_crop(rng)
        correspondences = np.empty((0, 2))
        while len(correspondences) < 2:
            homography = random_homography(self.size, self.limits, rng)
            correspondences = dense_correspondences(homography, self.map_size, self.border, self.stride)
        view = cv2.warpPerspective(crop, homography, (self.size, self.size), flags=cv2.INTER_LINEAR)
        # Not set_random_seed: it gives the same random numbers to every transform of the recipe.
        self.augment.set_random_state(rng, random.Random(int(rng.integers(2**31))))
        pair = [cv2.cvtColor(self.augment(image=image)["image"], cv2.COLOR_RGB2GRAY) for image in (crop, view)]
        images = torch.from_numpy(np.stack(pair)[:, None])
        return images, torch.from_numpy(correspondences), torch.from_numpy(homography)

    def _textured_crop(self, rng: np.random.Generator) -> np.ndarray:
        """A random crop, uint8 (S, S, 3), with enough texture, or the best of ATTEMPTS."""
        crops = []
        for _ in range(ATTEMPTS):
            photo = self.photos.read(int(rng.choice(len(self.photos), p=self.photos.probability)))
            # A larger side shrinks the photo to the crop; a smaller one, in a small photo, enlarges it.
            side = min(round(self.size / rng.uniform(self.zoom, 1.0)), *photo.shape[:2])
            y, x = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
            crop = photo[y : y + side, x : x + side]
            if side != self.size:
                interpolation = cv2.INTER_AREA if side > self.size else cv2.INTER_CUBIC
                crop = np.asarray(cv2.resize(crop, (self.size, self.size), interpolation=interpolation), np.uint8)
            share = textured_share(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY))
            crops.append((share, crop))
            if share >= self.min_texture:
                break
        return max(crops, key=itemgetter(0))[1]
