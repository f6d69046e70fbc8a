"""The SiLK losses (paper, Sec. 3.4.4 and App. A), without ever holding the similarity matrix.

For a correspondence (i, j) the matching probability is the product of a softmax over row i and a softmax over
column j of S = cosine / temperature. Both need only a log-sum-exp of one descriptor against all of the other image:
that is computed a block of rows at a time, and computed again in the backward pass instead of being stored.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.05


class SiLKLoss(NamedTuple):
    """Scalars of one pair. `total` is what is minimised; `match_rate` is the share of mutual, correct matches."""

    total: Tensor
    descriptor: Tensor
    keypoint: Tensor
    match_rate: Tensor
    keypoint_precision: Tensor


class _BlockwiseLogSumExp(torch.autograd.Function):
    """log sum_j exp(q_i . k_j) for every query, and the index of the best key. Memory: one block x keys matrix."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, block: int) -> tuple[Tensor, Tensor]:
        log_sum = queries.new_empty(len(queries))
        best = torch.empty(len(queries), dtype=torch.long, device=queries.device)
        for start in range(0, len(queries), block):
            rows = slice(start, start + block)
            similarity = queries[rows] @ keys.T
            maximum, best[rows] = similarity.max(dim=1)
            log_sum[rows] = similarity.sub_(maximum[:, None]).exp_().sum(dim=1).log_().add_(maximum)
        ctx.save_for_backward(queries, keys, log_sum)
        ctx.block = block
        ctx.mark_non_differentiable(best)
        return log_sum, best

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        queries, keys, log_sum = ctx.saved_tensors
        gradient = gradients[0]
        grad_queries, grad_keys = torch.empty_like(queries), torch.zeros_like(keys)
        for start in range(0, len(queries), ctx.block):
            rows = slice(start, start + ctx.block)
            similarity = queries[rows] @ keys.T
            softmax = similarity.sub_(log_sum[rows, None]).exp_().mul_(gradient[rows, None])
            torch.mm(softmax, keys, out=grad_queries[rows])
            grad_keys.addmm_(softmax.T, queries[rows])
        return grad_queries, grad_keys, None


def silk_loss(
    logits0: Tensor,
    logits1: Tensor,
    descriptors0: Tensor,
    descriptors1: Tensor,
    correspondences: Tensor,
    temperature: float = TEMPERATURE,
    block: int = 512,
) -> SiLKLoss:
    """Descriptor and keypoint loss of one image pair.

    logits (N,) and descriptors (N, D), not normalised, are the flattened dense maps of the two images;
    correspondences (M, 2) int64 index them. The cost grows with M x N: a random subset of the correspondences
    gives an unbiased estimate of the same loss, because each is still scored against every position.
    """
    index0, index1 = correspondences.unbind(dim=1)
    normalised0 = F.normalize(descriptors0.float(), dim=1)
    normalised1 = F.normalize(descriptors1.float(), dim=1)
    queries0, queries1 = normalised0[index0], normalised1[index1]

    row, best1 = _BlockwiseLogSumExp.apply(queries0 / temperature, normalised1, block)
    column, best0 = _BlockwiseLogSumExp.apply(queries1 / temperature, normalised0, block)
    true_similarity = (queries0 * queries1).sum(dim=1) / temperature
    descriptor = (row + column - 2 * true_similarity).mean()

    success = (best1 == index1) & (best0 == index0)
    logits = torch.cat([logits0[index0], logits1[index1]]).float()
    labels = torch.cat([success, success]).float()
    keypoint = F.binary_cross_entropy_with_logits(logits, labels)

    with torch.no_grad():
        detected = logits > 0
        precision = (labels * detected).sum() / detected.sum().clamp(min=1)
    return SiLKLoss(descriptor + keypoint, descriptor, keypoint, success.float().mean(), precision)
