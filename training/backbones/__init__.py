"""Registry of the networks: a backbone and the sizes of its heads (docs/backbones.md explains how to add one)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .base import BATCHNORM_MOMENTUM, Backbone
from .resnet_fpn import ResNetFPN
from .unet import UNet
from .vgg import VGG, block

__all__ = ["ARCHITECTURES", "BATCHNORM_MOMENTUM", "Architecture", "Backbone", "block"]


@dataclass(frozen=True)
class Architecture:
    """Backbone of a network, and width, output channels and padding (0 or 1) of its heads."""

    backbone: Callable[[], Backbone]
    head_width: int = 128
    descriptor_dim: int = 128
    head_padding: int = 0


ARCHITECTURES = {
    "vggnp-4": Architecture(partial(VGG, (64, 64, 128, 128))),
    "vggnp-3": Architecture(partial(VGG, (64, 128, 128))),
    "vggnp-2": Architecture(partial(VGG, (128, 128))),
    "vggnp-1": Architecture(partial(VGG, (128,))),
    "vggnp-mu": Architecture(partial(VGG, (64,)), head_width=32, descriptor_dim=32),
    "vggp-4": Architecture(partial(VGG, (64, 64, 128, 128), padding=1), head_padding=1),
    "resfpn": Architecture(ResNetFPN),
    "unet": Architecture(UNet),
}
