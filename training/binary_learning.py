"""Learning of the 256-bit code from pairs of views of photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from silk_ros import Extractor, match
from silk_ros.binary import BITS, BinaryCode, hamming_match
from silk_ros.matcher import TEMPERATURE
from silk_ros.types import Features, Matches

from .config import DEFAULT_CONFIG, load_config
from .data import HomographyPairs
from .homography import warp_points
from .photos import Photos

MAP_SIZE = 314  # side of a crop's map: a third of a camera image
SAME_POINT = 1.0  # pixels; largest distance between two keypoints of the same point
STEPS, QUERIES = 500, 256  # a step takes one pair; its queries are compared with all keypoints of the other image
LEARNING_RATE = 5e-3
BALANCE_EVERY = 20  # steps between updates of the thresholds
SAMPLE = 8000  # descriptors whose medians are the thresholds during learning


@dataclass(frozen=True, eq=False)
class DescriptorPair:
    """Features of two views of a photograph.

    a, b: features of the views (N and M).
    same: (C, 2) int64, rows of a and b that are the same point of the photograph, one to one.
    """

    a: Features
    b: Features
    same: NDArray[np.int64]

    def recall(self, matches: Matches) -> float:
        """Share of the same points that are matched."""
        partner = np.full(len(self.a), -1)
        partner[self.same[:, 0]] = self.same[:, 1]
        rows, columns = matches.indices.T
        return float((partner[rows] == columns).sum() / len(self.same))


def same_points(points0: NDArray[np.floating], points1: NDArray[np.floating], homography: np.ndarray) -> np.ndarray:
    """Rows (C, 2) of keypoints (N, 2) and (M, 2) that are mutually nearest, within SAME_POINT pixels in image 1."""
    warped = np.clip(warp_points(homography, points0.astype(np.float64)), -1e6, 1e6)  # points at the horizon are inf
    distance = torch.cdist(torch.from_numpy(warped), torch.from_numpy(points1.astype(np.float64)))
    nearest, column = distance.min(dim=1)
    back = distance.argmin(dim=0)[column]
    rows = torch.nonzero((nearest <= SAME_POINT) & (back == torch.arange(len(points0))))[:, 0]
    return torch.stack([rows, column[rows]], dim=1).numpy()


def descriptor_pairs(extractor: Extractor, photos: Photos, count: int, seed: int) -> list[DescriptorPair]:
    """Features of `count` pairs of views, with the homographies and augmentation of the shipped recipe.

    Pairs without a common point are left out. Raises ValueError if no pair is left.
    """
    config = load_config(DEFAULT_CONFIG)
    views = HomographyPairs(photos, config, extractor.backend.border, 1, count, MAP_SIZE, seed)
    pairs = []
    for index in tqdm(range(count), desc="describing", unit="pair"):
        images, _, homography = views[index]
        a, b = (extractor(np.ascontiguousarray(image[0].numpy())) for image in images)
        same = same_points(a.keypoints, b.keypoints, homography.numpy())
        if len(same):
            pairs.append(DescriptorPair(a, b, same))
    if not pairs:
        raise ValueError("no keypoint of any image is found again in its second view: give photographs with texture")
    return pairs


def random_code(descriptor_dim: int, seed: int) -> BinaryCode:
    """Random hyperplanes through the origin (Charikar, STOC 2002): the baseline without learning."""
    normals = np.random.default_rng(seed).normal(size=(descriptor_dim, BITS))
    return BinaryCode(normals / np.linalg.norm(normals, axis=0), np.zeros(BITS, np.float32))


def rotations(descriptor_dim: int, seed: int) -> Tensor:
    """BITS unit directions (D, BITS) float32: the columns of random rotations, side by side."""
    rng = np.random.default_rng(seed)
    blocks = [
        np.linalg.qr(rng.normal(size=(descriptor_dim, descriptor_dim)))[0] for _ in range(-(-BITS // descriptor_dim))
    ]
    return torch.from_numpy(np.concatenate(blocks, axis=1)[:, :BITS].astype(np.float32))


def _bits(descriptors: Tensor, directions: Tensor, thresholds: Tensor) -> Tensor:
    """Codes (N, 256) of +-1/16, with the gradient of a smooth sign (straight through; Bengio et al., 2013)."""
    spread = descriptors.shape[1] ** 0.5  # projections of unit descriptors are about 1 / spread
    projected = spread * (descriptors @ directions - thresholds)
    smooth = torch.tanh(projected)
    return (smooth + (torch.where(projected > 0, 1.0, -1.0) - smooth).detach()) / BITS**0.5


def learn(pairs: Sequence[DescriptorPair], steps: int = STEPS, seed: int = 0) -> BinaryCode:
    """A code whose Hamming distance separates the same points from all others; each bit is set in half of `pairs`."""
    rng = np.random.default_rng(seed)
    descriptors = np.concatenate([pair.a.descriptors for pair in pairs])
    sample = torch.from_numpy(rng.permutation(descriptors)[:SAMPLE])
    weights = rotations(descriptors.shape[1], seed).requires_grad_()
    # Logarithm of the inverse temperature of the similarity; learned, starting at the network's own.
    log_scale = torch.tensor(-np.log(TEMPERATURE), dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([weights, log_scale], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    progress = tqdm(range(steps), desc="learning", unit="step")
    for step in progress:
        directions = F.normalize(weights, dim=0)
        if step % BALANCE_EVERY == 0:
            thresholds = (sample @ directions.detach()).median(dim=0).values
        pair = pairs[int(rng.integers(len(pairs)))]
        a, b = (
            _bits(torch.from_numpy(side.descriptors), directions, thresholds) * (log_scale / 2).exp()
            for side in (pair.a, pair.b)
        )
        rows, columns = torch.from_numpy(rng.permutation(pair.same)[:QUERIES]).T
        loss = F.cross_entropy(a[rows] @ b.T, columns) + F.cross_entropy(b[columns] @ a.T, rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % BALANCE_EVERY == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}")
    # Rounded to the stored float16 first, so that the thresholds halve these projections.
    projection = F.normalize(weights.detach(), dim=0).numpy().astype(np.float16).astype(np.float32)
    return BinaryCode(projection, np.median(descriptors @ projection, axis=0).astype(np.float16))


def mean_recall(pairs: Sequence[DescriptorPair], code: BinaryCode | None) -> float:
    """Share of the same points that are mutual nearest neighbours by code, or by float descriptors for None."""
    found: Callable[[Features, Features], Matches] = (
        match if code is None else lambda a, b: hamming_match(code.encode(a.descriptors), code.encode(b.descriptors))
    )
    return float(np.mean([pair.recall(found(pair.a, pair.b)) for pair in tqdm(pairs, desc="testing", leave=False)]))
