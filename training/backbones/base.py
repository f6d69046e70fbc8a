"""Interface of the backbones."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

BATCHNORM_MOMENTUM = 0.01  # with torch's default of 0.1, the statistics would cover the last ten pairs of images only


class Backbone(nn.Module):
    """Features of grey images: float32 (B, 1, H, W) in [0, 1] -> (B, channels, h, w), for any H and W.

    Map position (row i, column j) describes the surroundings of pixel (j * stride + border, i * stride + border); the
    centre of the top-left pixel is (0, 0). A side of n pixels gives ceil((n - 2 * border) / stride) positions.
    Subclasses set channels, border and stride, which must not depend on the size of the image.
    """

    channels: int
    border: int  # pixels before the first position, lost in convolutions without padding
    stride: int  # pixels from one position to the next


def extended(images: Tensor, multiple: int, plus: int = 0) -> Tensor:
    """Images (B, C, H, W) extended to sides of k * multiple + plus by repeating the last column and row."""
    height, width = images.shape[-2:]
    # No negative number is divided: ONNX and Python would round it differently.
    right, bottom = ((side - plus + multiple - 1) // multiple * multiple + plus - side for side in (width, height))
    return F.pad(images, (0, right, 0, bottom), mode="replicate")
