"""Folding BatchNorms into convolutions for deployment: the same function with less to do."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .model import SiLK


@torch.no_grad()
def fold_batch_norms(model: SiLK) -> SiLK:
    """A copy of a network, in eval mode and on the CPU, without the BatchNorms that can be folded.

    One that follows a convolution changes what that writes; another changes what the next convolutions read. Where
    these pad, it stays: their zeros do not pass through it.
    """
    folded = copy.deepcopy(model).cpu().eval()
    heads = [next(_layers(head)) for head in (folded.keypoint_head, folded.descriptor_head)]
    for sequence in list(_sequences(folded)):
        layers = list(_layers(sequence))
        for i, layer in enumerate(layers):
            if not isinstance(layer, nn.BatchNorm2d):
                continue
            before = layers[i - 1] if i else None
            readers = layers[i + 1 : i + 2] or (heads if sequence is folded.backbone else [])
            if isinstance(before, nn.Conv2d):
                _fold_into_output(layer, before)
            elif readers and all(isinstance(reader, nn.Conv2d) and not any(reader.padding) for reader in readers):
                for reader in readers:
                    _fold_into_input(layer, reader)
            else:
                continue
            name = next(name for name, module in folded.named_modules() if module is layer)
            folded.set_submodule(name, nn.Identity())
    return folded


def _sequences(module: nn.Module) -> Iterator[nn.Sequential]:
    """The sequences in a network that are not part of another one."""
    if isinstance(module, nn.Sequential):
        yield module
    for child in _layers(module) if isinstance(module, nn.Sequential) else module.children():
        yield from _sequences(child)


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a sequence of sequences, in order."""
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from _layers(child)
    else:
        yield module


def _fold_into_output(norm: nn.BatchNorm2d, convolution: nn.Conv2d) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def _fold_into_input(norm: nn.BatchNorm2d, convolution: nn.Conv2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    bias = (convolution.weight.sum(dim=(2, 3)) * shift).sum(dim=1)
    convolution.bias = nn.Parameter(bias if convolution.bias is None else bias + convolution.bias)
    convolution.weight *= scale[:, None, None]
