"""The ResNet-FPN of LoFTR (Sun et al., CVPR 2021; "FPN" in the paper's Tab. 7), up to its fine map.

A residual network reduces the image to an eighth of its size; a feature pyramid combines its maps up to half the size.
Every convolution pads. Position i of a map is position 2i of the finer one.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .base import BATCHNORM_MOMENTUM, Backbone, extended

HALF, QUARTER, EIGHTH = 128, 196, 256  # channels of the maps at these fractions of the image size


def convolution(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=False)


def normed(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Sequential:
    norm = nn.BatchNorm2d(channels_out, momentum=BATCHNORM_MOMENTUM)
    return nn.Sequential(convolution(channels_in, channels_out, size, stride), norm)


class Residual(nn.Module):
    """Two 3x3 convolutions, the first with the stride, and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            normed(channels_in, channels_out, 3, stride), nn.ReLU(inplace=True), normed(channels_out, channels_out, 3)
        )
        self.shortcut = nn.Identity() if stride == 1 else normed(channels_in, channels_out, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.shortcut(features) + self.body(features))


def merge(channels_in: int, channels_out: int) -> nn.Sequential:
    """Convolutions that smooth the sum of two levels of the pyramid."""
    return nn.Sequential(
        normed(channels_in, channels_in, 3), nn.LeakyReLU(inplace=True), convolution(channels_in, channels_out, 3)
    )


class ResNetFPN(Backbone):
    """Features at half the resolution of the image."""

    channels, border, stride = HALF, 0, 2

    def __init__(self) -> None:
        super().__init__()
        self.encode_half = nn.Sequential(
            normed(1, HALF, 7, stride=2), nn.ReLU(inplace=True), Residual(HALF, HALF), Residual(HALF, HALF)
        )
        self.encode_quarter = nn.Sequential(Residual(HALF, QUARTER, stride=2), Residual(QUARTER, QUARTER))
        self.encode_eighth = nn.Sequential(Residual(QUARTER, EIGHTH, stride=2), Residual(EIGHTH, EIGHTH))
        self.lateral_eighth = convolution(EIGHTH, EIGHTH, 1)
        self.lateral_quarter = convolution(QUARTER, EIGHTH, 1)
        self.lateral_half = convolution(HALF, QUARTER, 1)
        self.merge_quarter = merge(EIGHTH, QUARTER)
        self.merge_half = merge(QUARTER, HALF)

    def forward(self, images: Tensor) -> Tensor:
        half = self.encode_half(extended(images, multiple=8, plus=1))
        quarter = self.encode_quarter(half)
        top = self.lateral_eighth(self.encode_eighth(quarter))
        top = self.merge_quarter(self.lateral_quarter(quarter) + doubled(top))
        top = self.merge_half(self.lateral_half(half) + doubled(top))
        height, width = images.shape[-2:]
        return top[..., : (height + 1) // 2, : (width + 1) // 2]


def doubled(coarse: Tensor) -> Tensor:
    """A map (B, C, h, w) interpolated bilinearly to (B, C, 2h - 1, 2w - 1): one new position between any two."""
    # LoFTR interpolates from n to 2n positions instead, which shifts features by up to four pixels.
    height, width = coarse.shape[-2:]
    return F.interpolate(coarse, size=(2 * height - 1, 2 * width - 1), mode="bilinear", align_corners=True)
