"""Descriptors at the top-k, in the graph, against the naive export that describes every pixel.

python -m benchmarks.pipeline        # needs the train extra: it exports the naive graph
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from benchmarks.common import interleaved, save, verdict
from silk_ros import Extractor
from training.export import export_model
from training.model import SiLK

WIDTH, HEIGHT, KEYPOINTS = 640, 480, 5000
REPEATS = 30


class NaiveExport(nn.Module):
    """All descriptors, normalised, then the chosen ones gathered: what one would export first."""

    def __init__(self, model: SiLK) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, descriptors = self.model(image.float() / 255)
        scores, position = logits.sigmoid().flatten().topk(KEYPOINTS)
        width = logits.shape[3]
        y = position // width
        keypoints = torch.stack([position - y * width, y], dim=1).float() + self.model.border
        chosen = F.normalize(descriptors, dim=1)[0].flatten(1)[:, position].T
        return keypoints, scores, chosen


def main() -> int:
    image = np.ascontiguousarray(np.tile(data.camera(), (1, 2))[:HEIGHT, :WIDTH])
    model = SiLK().eval()
    with tempfile.TemporaryDirectory() as folder:
        naive_path, topk_path = Path(folder) / "naive.onnx", Path(folder) / "topk.onnx"
        example = (torch.from_numpy(image)[None, None],)
        torch.onnx.export(
            NaiveExport(model).eval(), example, naive_path, input_names=["image"], dynamo=True, verbose=False
        )
        export_model(model, topk_path, {})
        options = onnxruntime.SessionOptions()
        # As in the backend: threads that spin after a run would slow down the other candidate.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        naive = onnxruntime.InferenceSession(str(naive_path), options, providers=["CPUExecutionProvider"])
        extractor = Extractor.load(topk_path, max_keypoints=KEYPOINTS, backend="onnxruntime")
        candidates = {
            "naive export": lambda: naive.run(None, {"image": image[None, None]}),
            "descriptors at the top-k": lambda: extractor(image),
        }
        times = interleaved(candidates, REPEATS, f"{WIDTH}x{HEIGHT}, K = {KEYPOINTS}")
    ratio = times["naive export"]["median"] / times["descriptors at the top-k"]["median"]
    verdicts = [verdict("naive export / descriptors at the top-k", ratio, 1.2, at_least=True)]
    save("pipeline", {f"{WIDTH}x{HEIGHT}, K = {KEYPOINTS}, ms": times, "verdicts": verdicts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
