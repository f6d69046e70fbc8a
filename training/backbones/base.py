"""What every backbone offers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

# SiLK trains on one pair of images at a time: statistics over the last ten steps, which is what torch's default
# momentum of 0.1 amounts to, would follow the last few photos instead of the data set.
BATCHNORM_MOMENTUM = 0.01


class Backbone(nn.Module):
    """Features of grey images: float32 (B, 1, H, W) in [0, 1] -> (B, channels, h, w), for any H and W.

    Map position (row i, column j) describes what lies around the pixel (j * stride + border, i * stride + border);
    the centre of the top-left pixel is (0, 0). A side of n pixels gives ceil((n - 2 * border) / stride) positions.
    Subclasses set the three numbers; neither they nor the mapping may depend on the size of the image.
    """

    channels: int
    border: int  # pixels before the first position, lost by convolutions that do not pad
    stride: int  # pixels from one position to the next


def extended(images: Tensor, multiple: int, plus: int = 0) -> Tensor:
    """Images whose last column and row are repeated until both sides are a multiple of a number, plus another.

    For backbones that halve their maps, and cut off in the end what they made of the repeated pixels.
    """
    height, width = images.shape[-2:]
    # Nothing negative is divided here: ONNX would round it up.
    right, bottom = ((side - plus + multiple - 1) // multiple * multiple + plus - side for side in (width, height))
    return F.pad(images, (0, right, 0, bottom), mode="replicate")
