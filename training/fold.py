"""Folding of BatchNorms into convolutions, and removal of dead channels, for deployment."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from .model import SiLK

DEAD = 1e-12  # largest running mean and variance of a dead channel: 1 decays to it in 2,750 images of zeros


@torch.no_grad()
def fold_batch_norms(model: SiLK) -> SiLK:
    """A copy of a network in eval mode on the CPU, without the BatchNorms that can be folded and without dead channels.

    A BatchNorm after a convolution is folded into its output, any other into the input of the next convolutions, unless
    these pad: their zeros do not pass through it. A channel is dead if its ReLU has written only zeros for long.
    """
    folded = copy.deepcopy(model).cpu().eval()
    heads = [_layers(head)[0] for head in (folded.keypoint_head, folded.descriptor_head)]
    sequences = [module for module in folded.modules() if isinstance(module, nn.Sequential)]
    nested = {child for sequence in sequences for child in sequence}
    for sequence in (outer for outer in sequences if outer not in nested):
        layers = _layers(sequence)
        for i, layer in enumerate(layers):
            if not isinstance(layer, nn.BatchNorm2d):
                continue
            before = layers[i - 1] if i else None
            after = layers[i + 1 : i + 2] or (heads if sequence is folded.backbone else [])
            readers = [reader for reader in after if isinstance(reader, nn.Conv2d) and not any(reader.padding)]
            if isinstance(before, nn.Conv2d):
                _fold_into_output(layer, before)
            elif readers and len(readers) == len(after):
                for reader in readers:
                    _fold_into_input(layer, reader)
                writer = layers[i - 2] if i > 1 and isinstance(before, nn.ReLU) else None
                if isinstance(writer, nn.Conv2d) and writer.groups == 1:
                    _remove_dead(layer, writer, readers)
            else:
                continue
            name = next(name for name, module in folded.named_modules() if module is layer)
            folded.set_submodule(name, nn.Identity())
    return folded


def _layers(module: nn.Module) -> list[nn.Module]:
    """The layers of nested sequences, in order."""
    return [layer for child in module for layer in _layers(child)] if isinstance(module, nn.Sequential) else [module]


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift (C,) of a BatchNorm in eval mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _fold_into_output(norm: nn.BatchNorm2d, convolution: nn.Conv2d) -> None:
    scale, shift = _affine(norm)
    convolution.weight *= scale[:, None, None, None]
    convolution.bias = nn.Parameter(shift if convolution.bias is None else convolution.bias * scale + shift)


def _fold_into_input(norm: nn.BatchNorm2d, convolution: nn.Conv2d) -> None:
    scale, shift = _affine(norm)
    added = (convolution.weight.sum(dim=(2, 3)) * shift).sum(dim=1)
    convolution.weight *= scale[:, None, None]
    convolution.bias = nn.Parameter(added if convolution.bias is None else convolution.bias + added)


def _remove_dead(norm: nn.BatchNorm2d, writer: nn.Conv2d, readers: list[nn.Conv2d]) -> None:
    """Remove the dead channels of a BatchNorm from the convolution that writes them and from those that read them."""
    assert norm.running_mean is not None and norm.running_var is not None
    alive = (norm.running_mean.abs() >= DEAD) | (norm.running_var >= DEAD)
    if not alive.any():
        return
    writer.weight = nn.Parameter(writer.weight[alive])
    writer.bias = None if writer.bias is None else nn.Parameter(writer.bias[alive])
    writer.out_channels = len(writer.weight)
    for reader in readers:
        reader.weight = nn.Parameter(reader.weight[:, alive])
        reader.in_channels = reader.weight.shape[1]
