"""The SiLK losses (paper, Sec. 3.4.4 and App. A), computed without storing the similarity matrix.

The matching probability of a correspondence (i, j) is softmax(row i) * softmax(column j) of S = cosine / temperature.
Each needs only the log-sum-exp of one descriptor against all of the other image, computed block by block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from silk_ros.matcher import TEMPERATURE


class SiLKLoss(NamedTuple):
    """Scalars of one image pair."""

    total: Tensor  # what training minimises
    descriptor: Tensor
    keypoint: Tensor
    match_rate: Tensor  # share of the correspondences that are mutual nearest neighbours
    precision: Tensor  # of positive keypoint logits as predictions of these
    recall: Tensor


class _SummedLogSumExp(torch.autograd.Function):
    """sum_i log sum_j exp(q_i . k_j - bound) with its gradient, and whether each query's target is its best key."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, targets: Tensor, bound: float, block: int
    ) -> tuple[Tensor, Tensor]:
        total = queries.new_zeros((), dtype=torch.float32)
        is_best = torch.empty(len(queries), dtype=torch.bool, device=queries.device)
        needs_gradient = any(ctx.needs_input_grad)
        grad_queries, grad_keys = torch.empty_like(queries), torch.zeros_like(keys, dtype=torch.float32)
        # One buffer for all blocks stays in the processor's cache.
        buffer = keys.new_empty((min(block, len(queries)), len(keys)))
        for start in range(0, len(queries), block):
            rows = slice(start, start + block)
            # Subtracting the bound before rounding to bfloat16 keeps similarities close to the bound exact.
            similarity = buffer[: len(queries[rows])].fill_(-bound).addmm_(queries[rows], keys.T)
            is_best[rows] = similarity.gather(1, targets[rows, None])[:, 0] >= similarity.amax(dim=1)
            exponential = similarity.exp_()
            sums = exponential.sum(dim=1).float()
            total += sums.log().sum()
            if needs_gradient:
                inverse = (1 / sums)[:, None].to(queries.dtype)
                grad_queries[rows] = (exponential @ keys) * inverse
                grad_keys += exponential.T @ (queries[rows] * inverse)
        ctx.save_for_backward(grad_queries, grad_keys.to(keys.dtype))
        ctx.mark_non_differentiable(is_best)
        return total, is_best

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_queries, grad_keys = ctx.saved_tensors
        gradient = gradients[0].to(grad_queries.dtype)
        return grad_queries * gradient, grad_keys * gradient, None, None, None


def silk_loss(
    logits0: Tensor,
    logits1: Tensor,
    descriptors0: Tensor,
    descriptors1: Tensor,
    correspondences: Tensor,
    temperature: float = TEMPERATURE,
    block: int = 256,
) -> SiLKLoss:
    """Descriptor and keypoint loss of one image pair.

    logits (N,) and raw descriptors (N, D) are the flattened dense maps of the two images; correspondences (M, 2) int64
    are indices into them. Similarities have the dtype of the descriptors (float32, or bfloat16 under autocast) and are
    summed in float32. The cost grows with M x N; a random subset of the correspondences gives an unbiased estimate.
    """
    index0, index1 = correspondences.unbind(dim=1)
    normalised0, normalised1 = (F.normalize(maps.float(), dim=1) for maps in (descriptors0, descriptors1))
    queries0, queries1 = normalised0[index0], normalised1[index1]

    bound = 1 / temperature  # largest similarity of two unit vectors
    dtype = descriptors0.dtype
    keys0, keys1 = normalised0.to(dtype), normalised1.to(dtype)
    row, best1 = _SummedLogSumExp.apply((queries0 * bound).to(dtype), keys1, index1, bound, block)
    column, best0 = _SummedLogSumExp.apply((queries1 * bound).to(dtype), keys0, index0, bound, block)
    true_similarity = ((queries0 * queries1).sum(dim=1) - 1) * bound
    descriptor = (row + column) / len(correspondences) - 2 * true_similarity.mean()

    success = best1 & best0
    logits = torch.cat([logits0[index0], logits1[index1]]).float()
    labels = success.float().repeat(2)
    keypoint = F.binary_cross_entropy_with_logits(logits, labels)

    with torch.no_grad():
        detected = logits > 0
        hits = (labels * detected).sum()
        precision = hits / detected.sum().clamp(min=1)
        recall = hits / labels.sum().clamp(min=1)
    return SiLKLoss(descriptor + keypoint, descriptor, keypoint, success.float().mean(), precision, recall)


def dense_maps(model: nn.Module, images: Tensor, bf16: bool) -> tuple[Tensor, Tensor]:
    """Keypoint logits (B, 1, h, w) and raw descriptors (B, D, h, w) of uint8 images (B, 1, H, W)."""
    device = next(model.parameters()).device
    inputs = (images.to(device, non_blocking=True).float() / 255).to(memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        return model(inputs)


def pair_loss(
    model: nn.Module, images: Tensor, correspondences: Tensor, queries: int, seed: int, bf16: bool
) -> SiLKLoss:
    """Loss of a pair of images uint8 (2, 1, H, W) on `queries` random correspondences (M, 2), or on all for 0."""
    if queries and len(correspondences) > queries:
        generator = torch.Generator().manual_seed(seed)
        correspondences = correspondences[torch.randperm(len(correspondences), generator=generator)[:queries]]
    logits, descriptors = dense_maps(model, images, bf16)
    correspondences = correspondences.to(logits.device, non_blocking=True)
    logits0, logits1 = logits.flatten(1)
    descriptors0, descriptors1 = descriptors.flatten(2).transpose(1, 2)
    return silk_loss(logits0, logits1, descriptors0, descriptors1, correspondences)
