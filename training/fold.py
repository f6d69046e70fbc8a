"""Folding BatchNorms into convolutions for deployment: the same function with a tenth less to do."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .model import SiLK


class _Affine(NamedTuple):
    """What a BatchNorm in eval mode does to each channel."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> _Affine:
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return cls(scale, norm.bias - norm.running_mean * scale)


@torch.no_grad()
def fold_batch_norms(model: SiLK) -> SiLK:
    """A copy of a network, in eval mode and on the CPU, without BatchNorms.

    One that follows a ReLU changes what the next convolutions read, which is exact because nothing is padded; one that
    follows a convolution changes what that writes.
    """
    folded = copy.deepcopy(model).cpu().eval()
    pending = _fold_chain(folded.backbone, None)
    for head in (folded.keypoint_head, folded.descriptor_head):
        assert _fold_chain(head, pending) is None
    for parent in list(folded.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    return folded


def _fold_chain(layers: nn.Module, pending: _Affine | None) -> _Affine | None:
    """Fold along a chain of layers, given what is pending at its start; returns what is pending at its end."""
    convolution: nn.Conv2d | None = None  # the last layer, while no ReLU has followed it
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            convolution = layer
            if pending is not None:
                layer.bias += (layer.weight.sum(dim=(2, 3)) * pending.shift).sum(dim=1)
                layer.weight *= pending.scale[:, None, None]
                pending = None
        elif isinstance(layer, nn.ReLU):
            convolution = None
        elif isinstance(layer, nn.BatchNorm2d):
            affine = _Affine.of(layer)
            if convolution is None:
                pending = affine
            else:
                assert convolution.bias is not None
                convolution.weight *= affine.scale[:, None, None, None]
                convolution.bias.mul_(affine.scale).add_(affine.shift)
    return pending
