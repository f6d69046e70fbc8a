"""The network in PyTorch for `benchmarks.gpu`, from an image to matches in host memory.

Descriptors are computed at all positions and gathered at the best ones, as in the paper.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from silk_ros.backends import BackendUnavailable
from silk_ros.paths import default_model
from silk_ros.types import Features, Matches
from training.checkpoint import load_checkpoint
from training.model import SiLK


class MatchingNetwork(nn.Module):
    """The network with selection of keypoints and matching."""

    def __init__(self, model: SiLK, keypoints: int) -> None:
        super().__init__()
        self.model, self.keypoints = model, keypoints

    def forward(self, image: Tensor, previous: Tensor) -> tuple[Tensor, ...]:
        """Keypoints, scores, descriptors, partners (-1 without one) and similarities of an image uint8 (1, 1, H, W).

        previous: descriptors (K, D) of the image before; their type is the type of the computation.
        """
        logits, dense = self.model((image.float() / 255).to(previous.dtype, memory_format=torch.channels_last))
        best, position = logits.flatten().float().topk(self.keypoints)
        width = logits.shape[3]
        y = position // width
        keypoints = torch.stack([position - y * width, y], dim=1).float() * self.model.stride + self.model.border
        descriptors = F.normalize(dense, dim=1)[0].flatten(1)[:, position].T
        cosines = descriptors @ previous.T
        similarity, nearest = cosines.max(dim=1)
        mutual = cosines.argmax(dim=0)[nearest] == torch.arange(self.keypoints, device=image.device)
        partner = torch.where(mutual, nearest, -1)
        return keypoints, best.sigmoid(), descriptors.float(), partner.int(), similarity.float()


class TorchPipeline:
    """The shipped network for one size of image, eager or compiled, in float32 or float16."""

    def __init__(
        self, width: int, height: int, keypoints: int, half: bool, compiled: bool, device: str = "cuda"
    ) -> None:
        """Raises BackendUnavailable if PyTorch has no such device."""
        self._on_gpu = device == "cuda"
        if self._on_gpu and not torch.cuda.is_available():
            raise BackendUnavailable(f"PyTorch {torch.__version__} sees no CUDA device")
        torch.backends.cudnn.benchmark = True  # the fastest convolutions for this size
        dtype = torch.float16 if half else torch.float32
        model = load_checkpoint(default_model().with_suffix(".safetensors")).network(device)
        rows, columns = (-(-(side - 2 * model.border) // model.stride) for side in (height, width))
        count = min(keypoints, rows * columns)
        network = MatchingNetwork(model, count).to(dtype).eval()
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # their types lack it
        self._compiled = compiled
        # The mode with CUDA graphs, the fastest of PyTorch.
        self._network = torch.compile(network, mode="reduce-overhead", fullgraph=True) if compiled else network
        self._host_image = torch.empty((1, 1, height, width), dtype=torch.uint8, pin_memory=self._on_gpu)
        self._image = torch.empty_like(self._host_image, device=device)
        self._previous = torch.zeros((count, model.architecture.descriptor_dim), dtype=dtype, device=device)
        self._outputs: list[Tensor] = []  # in host memory

    @torch.inference_mode()
    def run(self, image: NDArray[np.uint8]) -> None:
        """Extract from a grey image (H, W), match with the last one, and wait for the results."""
        np.copyto(self._host_image.numpy(), image)
        self._image.copy_(self._host_image, non_blocking=True)
        if self._compiled:
            torch.compiler.cudagraph_mark_step_begin()
        outputs = self._network(self._image, self._previous)
        if not self._outputs:
            self._outputs = [torch.empty_like(o, device="cpu", pin_memory=self._on_gpu) for o in outputs]
        for host, output in zip(self._outputs, outputs):
            host.copy_(output, non_blocking=True)
        self._previous.copy_(outputs[2])
        if self._on_gpu:
            torch.cuda.synchronize()

    def features(self) -> Features:
        """Features of the last image."""
        keypoints, scores, descriptors = (output.numpy().copy() for output in self._outputs[:3])
        return Features(keypoints, scores, descriptors)

    def matches(self) -> Matches:
        """Matches of the last image with the image before."""
        partner, similarity = (output.numpy() for output in self._outputs[3:])
        rows = np.flatnonzero(partner >= 0)
        return Matches(np.stack([rows, partner[rows]], axis=1), similarity[rows])

    def counts(self) -> tuple[int, int]:
        """The numbers of keypoints and matches of the last image."""
        return len(self._outputs[0]), len(self.matches())


def release() -> None:
    """Free the compiled code and the memory that PyTorch keeps of pipelines that are no longer used."""
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
