"""Validation of a network during training, on pairs of views of held-out photographs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from silk_ros.draw import draw_matches
from silk_ros.evaluation.metrics import corner_error
from silk_ros.matcher import match
from silk_ros.types import Features

from .config import TrainConfig
from .data import HomographyPairs
from .loss import dense_maps, pair_loss
from .model import SiLK
from .photos import Photos

VIEW_SIZE = 240  # map positions; side of the views for the homography accuracy
KEYPOINTS = 1000  # per view
CORNER_ERROR = 3.0  # pixels; largest error of an accurate homography
PAIRS_PER_PHOTO = 2
SEED_OFFSET = 10**6  # added to the seed of the training, so that its views are not repeated


class Validation:
    """Fixed pairs of views of held-out photos, on which networks are scored."""

    def __init__(self, photos: Photos, config: TrainConfig, model: SiLK) -> None:
        count, seed = PAIRS_PER_PHOTO * len(photos), config.seed + SEED_OFFSET
        crops, views = (
            HomographyPairs(photos, config, model.border, model.stride, count, map_size, seed)
            for map_size in (config.map_size, VIEW_SIZE)
        )
        self._crops, self._views = [crops[i] for i in range(count)], [views[i] for i in range(count)]
        self._bf16 = config.in_bf16

    def __call__(self, model: SiLK) -> dict[str, float]:
        """Scores by name: the loss; match_rate, precision and recall of `SiLKLoss`; f1; homography_accuracy.

        The last is the share of views with a mean corner error below 3 px of the homography that RANSAC finds in the
        matches of the best 1000 keypoints (paper, Sec. 4.2).
        """
        losses, errors = [], []
        bar = tqdm(total=len(self._crops) + len(self._views), desc="validating", unit="pair", leave=False)
        with torch.no_grad(), evaluating(model), bar:
            for images, pairs, _ in self._crops:
                losses.append(pair_loss(model, images, pairs, 0, 0, self._bf16))
                bar.update()
            for images, _, truth in self._views:
                errors.append(self._corner_error(model, images, truth.numpy()))
                bar.update()
        means = (float(np.mean([value.item() for value in values])) for values in zip(*losses))
        total, _, _, match_rate, precision, recall = means
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        accuracy = float(np.mean([error < CORNER_ERROR for error in errors]))
        scores = {"loss": total, "match_rate": match_rate, "precision": precision, "recall": recall, "f1": f1}
        return scores | {"homography_accuracy": accuracy}

    def _corner_error(self, model: SiLK, images: Tensor, truth: NDArray[np.float64]) -> float:
        a, b = features(model, images, self._bf16)
        rows_a, rows_b = match(a, b).indices.T
        size = (images.shape[-1], images.shape[-2])
        return corner_error(truth, a.keypoints[rows_a], b.keypoints[rows_b], size)

    def pictures(self, model: SiLK, count: int) -> list[NDArray[np.uint8]]:
        """Pictures of the first pairs of views, RGB uint8 (H, W, 3): matches drawn as motion in the second view."""
        drawn = []
        with torch.no_grad(), evaluating(model):
            for images, _, _ in self._views[:count]:
                a, b = features(model, images, self._bf16)
                drawn.append(draw_matches(images[1, 0].numpy(), b, a, match(b, a))[..., ::-1].copy())
        return drawn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Context with the model in eval mode, which restores the previous mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def features(model: SiLK, images: Tensor, bf16: bool) -> list[Features]:
    """Features of the best KEYPOINTS of each uint8 image of a batch (B, 1, H, W)."""
    logits, descriptors = dense_maps(model, images, bf16)
    columns = logits.shape[-1]
    scores, chosen = logits.float().sigmoid().flatten(1).topk(min(KEYPOINTS, logits[0].numel()))
    positions = torch.stack([chosen % columns, chosen // columns], dim=-1) * model.stride + model.border
    chosen = chosen[:, None].expand(-1, descriptors.shape[1], -1)
    best = F.normalize(descriptors.float().flatten(2).gather(2, chosen), dim=1).transpose(1, 2)
    return [Features(*parts) for parts in zip(*(tensor.cpu().numpy() for tensor in (positions, scores, best)))]
