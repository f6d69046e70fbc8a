"""VGG backbones without pooling (paper, Sec. 4.5.1), unpadded or padded (Tab. 13)."""

from __future__ import annotations

import itertools

from torch import nn

from .base import BATCHNORM_MOMENTUM, Backbone


def block(channels_in: int, channels_out: int, padding: int = 0) -> nn.Sequential:
    """3x3 convolution -> ReLU -> BatchNorm, the unit of SiLK's backbones and heads."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=padding),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(channels_out, momentum=BATCHNORM_MOMENTUM),
    )


class VGG(nn.Sequential, Backbone):
    """Stages of two blocks each, at full resolution. widths: channels of the stages; padding: 0 or 1."""

    stride = 1

    def __init__(self, widths: tuple[int, ...], padding: int = 0) -> None:
        channels = [1, *(width for width in widths for _ in range(2))]
        super().__init__(*(block(a, b, padding) for a, b in itertools.pairwise(channels)))
        self.channels = channels[-1]
        self.border = (1 - padding) * 2 * len(widths)
