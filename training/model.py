"""The SiLK network (paper, Sec. 3.1): a backbone and two heads."""

from __future__ import annotations

from torch import Tensor, nn

from .backbones import ARCHITECTURES, BATCHNORM_MOMENTUM, block


def head(channels_in: int, width: int, channels_out: int, padding: int) -> nn.Sequential:
    """A head: 3x3 convolution -> ReLU -> BatchNorm -> 1x1 convolution to channels_out values -> BatchNorm."""
    return nn.Sequential(
        block(channels_in, width, padding),
        nn.Conv2d(width, channels_out, 1),
        nn.BatchNorm2d(channels_out, momentum=BATCHNORM_MOMENTUM),
    )


class SiLK(nn.Module):
    """Network from float32 images (B, 1, H, W) in [0, 1] to keypoint logits (B, 1, h, w) and descriptors (B, D, h, w).

    Descriptors are not normalised. Map position (row i, column j) is pixel (j * stride + border, i * stride + border),
    and h = ceil((H - 2 * border) / stride).
    """

    def __init__(self, architecture: str = "vggnp-mu") -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"unknown architecture '{architecture}': choose one of {', '.join(ARCHITECTURES)}")
        self.name = architecture
        self.architecture = ARCHITECTURES[architecture]
        self.backbone = self.architecture.backbone()
        channels, width, padding = self.backbone.channels, self.architecture.head_width, self.architecture.head_padding
        self._frozen: list[nn.Module] = []
        self.keypoint_head = head(channels, width, 1, padding)
        self.descriptor_head = head(channels, width, self.architecture.descriptor_dim, padding)

    def freeze_descriptors(self) -> None:
        """Train only the keypoint head from now on: other weights and BatchNorm statistics do not change."""
        self._frozen = [self.backbone, self.descriptor_head]
        nn.ModuleList(self._frozen).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> SiLK:
        """Set the training mode of the modules that are not frozen."""
        super().train(mode)
        nn.ModuleList(self._frozen).eval()
        return self

    @property
    def stride(self) -> int:
        """Pixels from one map position to the next."""
        return self.backbone.stride

    @property
    def border(self) -> int:
        """Pixels lost on each side: the border of the backbone, and one map position in heads that do not pad."""
        return self.backbone.border + (1 - self.architecture.head_padding) * self.stride

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(images)
        return self.keypoint_head(features), self.descriptor_head(features)


def parameter_count(model: nn.Module) -> int:
    """Number of scalar parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
