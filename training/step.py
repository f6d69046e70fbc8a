"""Loss of a pair of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .loss import SiLKLoss, silk_loss


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
