"""Image pairs with known correspondences, made from a folder of photographs (paper, Sec. 3.4.1).

Every sample is a function of (seed, step) alone, so a resumed training sees what an uninterrupted one would have.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .augmentation import augmentation
from .homography import HomographyRange, dense_correspondences, random_homography

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
CELL = 8  # pixels; the texture of a crop is judged cell by cell
CELL_STD = 4.0  # grey levels; a cell that varies less is flat
MIN_TEXTURE = 0.5  # share of cells that must not be flat
ATTEMPTS = 20
CACHE_BYTES = 2 * 2**30  # of decoded photos, per process; what comes after is decoded each time


def find_images(root: str | Path) -> list[Path]:
    """All image files below a folder, in a fixed order. Raises FileNotFoundError when there are none."""
    root = Path(root)
    images = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise FileNotFoundError(f"no images below '{root}': give a folder of {', '.join(sorted(IMAGE_SUFFIXES))} files")
    return images


def data_hash(root: str | Path) -> str:
    """sha256 over the names and contents of all images below a folder: the identity of a training set."""
    digest = hashlib.sha256()
    for path in find_images(root):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def textured_share(gray: np.ndarray) -> float:
    """Share of 8x8 cells of a uint8 image (H, W) that are not flat, in [0, 1]."""
    rows, columns = gray.shape[0] // CELL, gray.shape[1] // CELL
    cells = gray[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).astype(np.float32)
    return float((cells.std(axis=(1, 3)) > CELL_STD).mean())


class HomographyPairs(Dataset):
    """Pairs of `size` x `size` uint8 crops related by a random homography, and their dense correspondences.

    An item is (images uint8 (2, 1, size, size), correspondences int64 (M, 2)) for dense maps with the given border.
    Crops in which fewer than `min_texture` of the cells vary are drawn again; `weights` maps the name of a folder
    below the root to how often its photos are drawn (1 if not named).
    """

    def __init__(
        self,
        root: str | Path,
        size: int,
        border: int,
        steps: int,
        recipe: str,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
        min_texture: float = MIN_TEXTURE,
        limits: HomographyRange | None = None,
    ) -> None:
        self.paths = find_images(root)
        self.size, self.border, self.steps, self.seed = size, border, steps, seed
        self.min_texture = min_texture
        self.limits = limits or HomographyRange()
        self.augment = augmentation(recipe)
        self._photos: dict[Path, np.ndarray] = {}
        self._cached_bytes = 0

        weights = dict(weights or {})
        folders = [path.relative_to(root).parts[0] for path in self.paths]
        if unknown := set(weights) - set(folders):
            raise ValueError(f"no folder '{unknown.pop()}' below '{root}': there are {', '.join(sorted(set(folders)))}")
        draw = np.array([weights.get(folder, 1.0) for folder in folders])
        if (draw < 0).any() or draw.sum() == 0:
            raise ValueError("folder weights must not be negative, nor all zero")
        self._probability = draw / draw.sum()

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, step))
        crop = self._textured_crop(rng)
        while True:
            homography = random_homography(self.size, self.limits, rng)
            correspondences = dense_correspondences(homography, self.size - 2 * self.border, self.border)
            if len(correspondences) > 1:
                break
        view = cv2.warpPerspective(crop, homography, (self.size, self.size), flags=cv2.INTER_LINEAR)
        # Not set_random_seed: that gives every transform of the recipe the same random numbers.
        self.augment.set_random_state(rng, random.Random(int(rng.integers(2**31))))
        pair = [cv2.cvtColor(self.augment(image=image)["image"], cv2.COLOR_RGB2GRAY) for image in (crop, view)]
        return torch.from_numpy(np.stack(pair)[:, None]), torch.from_numpy(correspondences)

    def _textured_crop(self, rng: np.random.Generator) -> np.ndarray:
        """A random crop with enough texture, or the best of a limited number of attempts."""
        best, best_share = None, -1.0
        for _ in range(ATTEMPTS):
            photo = self._photo(self.paths[rng.choice(len(self.paths), p=self._probability)])
            y, x = (int(rng.integers(side - self.size + 1)) for side in photo.shape[:2])
            crop = photo[y : y + self.size, x : x + self.size]
            share = textured_share(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY))
            if share >= self.min_texture:
                return crop
            if share > best_share:
                best, best_share = crop, share
        assert best is not None
        return best

    def _photo(self, path: Path) -> np.ndarray:
        """A photo as RGB uint8, decoded once while there is room to keep it; enlarged if it is smaller than a crop."""
        if path in self._photos:
            return self._photos[path]
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"cannot read the image '{path}': remove or replace the file")
        if min(bgr.shape[:2]) < self.size:
            factor = self.size / min(bgr.shape[:2])
            bgr = cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        photo = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        if self._cached_bytes + photo.nbytes <= CACHE_BYTES:
            self._photos[path] = photo
            self._cached_bytes += photo.nbytes
        return photo
