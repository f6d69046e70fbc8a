"""The U-Net of DISK (Tyszkiewicz et al., NeurIPS 2020; "UNet" in the paper's Tab. 7), for grey images.

Four levels down by averages of 2x2 pixels and up again bilinearly, with one padded 5x5 convolution per level and
direction. Position i of a map lies midway between 2i and 2i + 1 of the finer one. InstanceNorm normalises over the
whole image, so features also depend on distant image content.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone, extended

DOWN = 16, 32, 64, 64, 64  # channels from full resolution down to a sixteenth
UP = 64, 64, 64, 128  # channels from an eighth up to full resolution


def step(channels_in: int, channels_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 5, padding=2)
    return nn.Sequential(nn.InstanceNorm2d(channels_in), nn.PReLU(channels_in), convolution)


class UNet(Backbone):
    """Features at the resolution of the image, which must exceed 16 pixels on one side for InstanceNorm."""

    channels, border, stride = UP[-1], 0, 1

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, DOWN[0], 5, padding=2)
        self.down = nn.ModuleList(step(a, b) for a, b in itertools.pairwise(DOWN))
        skips = reversed(DOWN[:-1])
        self.up = nn.ModuleList(step(a + skip, b) for (a, b), skip in zip(itertools.pairwise((DOWN[-1], *UP)), skips))

    def forward(self, images: Tensor) -> Tensor:
        features = self.first(extended(images, multiple=2 ** len(self.down)))
        skips: list[Tensor] = []
        for layer in self.down:
            skips.append(features)
            features = layer(F.avg_pool2d(features, 2))
        for layer, skip in zip(self.up, reversed(skips)):
            doubled = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = layer(torch.cat([doubled, skip], dim=1))
        return features[..., : images.shape[-2], : images.shape[-1]]
