"""The SiLK network (paper, Sec. 3.1 and Tab. 7): a VGG without pooling or padding, and two heads.

Every block is a 3x3 convolution -> ReLU -> BatchNorm. Nothing is padded, so each block trims one pixel
off every side: map position (i, j) describes the image patch centred on pixel (j + border, i + border).
"""

from __future__ import annotations

import itertools
import pickle
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# SiLK trains on one pair of images at a time: statistics over the last ten steps, which is what torch's default
# momentum of 0.1 amounts to, would follow the last few photos instead of the data set.
BATCHNORM_MOMENTUM = 0.01


@dataclass(frozen=True)
class Architecture:
    """Widths of a SiLK network: `stages` are the channels of each two-block backbone stage."""

    stages: tuple[int, ...]
    head_width: int = 128
    descriptor_dim: int = 128

    @property
    def border(self) -> int:
        """Pixels lost on each side: one per 3x3 block, two blocks per stage and one in the heads."""
        return 2 * len(self.stages) + 1


ARCHITECTURES = {
    "vggnp-4": Architecture((64, 64, 128, 128)),
    "vggnp-3": Architecture((64, 128, 128)),
    "vggnp-2": Architecture((128, 128)),
    "vggnp-1": Architecture((128,)),
    "vggnp-mu": Architecture((64,), head_width=32, descriptor_dim=32),
}


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(channels_out, momentum=BATCHNORM_MOMENTUM),
    )


def head(channels_in: int, width: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        block(channels_in, width),
        nn.Conv2d(width, channels_out, 1),
        nn.BatchNorm2d(channels_out, momentum=BATCHNORM_MOMENTUM),
    )


class SiLK(nn.Module):
    """Dense keypoint logits and descriptors of a batch of images.

    `forward` takes float32 images (B, 1, H, W) in [0, 1] and returns keypoint logits (B, 1, h, w) and raw, not
    yet normalised descriptors (B, D, h, w), with h = H - 2 * border and w = W - 2 * border.
    """

    def __init__(self, architecture: str = "vggnp-mu") -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"unknown architecture '{architecture}': choose one of {', '.join(ARCHITECTURES)}")
        self.name = architecture
        self.architecture = ARCHITECTURES[architecture]
        widths = [1] + [width for width in self.architecture.stages for _ in range(2)]
        self.backbone = nn.Sequential(*(block(a, b) for a, b in itertools.pairwise(widths)))
        self.keypoint_head = head(widths[-1], self.architecture.head_width, 1)
        self.descriptor_head = head(widths[-1], self.architecture.head_width, self.architecture.descriptor_dim)

    @property
    def border(self) -> int:
        return self.architecture.border

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(images)
        return self.keypoint_head(features), self.descriptor_head(features)


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def load_checkpoint(path: str, device: str | torch.device = "cpu") -> tuple[SiLK, dict]:
    """The network of a checkpoint written by `train`, in eval mode, and the checkpoint's other contents.

    Raises FileNotFoundError, or ValueError for any other file.
    """
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
        model = SiLK(checkpoint["config"]["architecture"])
        model.load_state_dict(checkpoint.pop("model"))
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError) as error:
        raise ValueError(f"'{path}' is not a checkpoint of training.train: give its last.pt") from error
    return model.to(device).eval(), checkpoint
