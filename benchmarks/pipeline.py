"""The shipped pipelines beside straightforward ones: PyTorch eager, and an export that describes every pixel.

python -m benchmarks.pipeline        # needs the train extra
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage import data
from torch import Tensor, nn

from benchmarks.common import interleaved, parser, save, verdict
from silk_ros.backends import BACKENDS
from silk_ros.evaluation.speed.extraction import find_pipelines
from silk_ros.paths import default_model
from training.checkpoint import load_checkpoint
from training.model import SiLK

SETTINGS = ((640, 480, 5000), (320, 240, 2000))  # width, height, keypoints
EAGER, NAIVE = "torch eager", "naive export"
# The slower pipeline, the faster one, and the least ratio of their times.
TARGETS = (
    (NAIVE, "onnxruntime fp32", 1.2),  # descriptors at the top-k
    (NAIVE, "openvino bf16", 2.5),
    (NAIVE, "openvino int8", 3.8),
    (EAGER, "openvino bf16", 10),
    (EAGER, "openvino int8", 10),
)
SAME_KEYPOINTS = 0.99  # share of the naive export's keypoints that our fp32 pipelines must find


class NaivePipeline(nn.Module):
    """The straightforward pipeline: computes and normalises all descriptors, then gathers those of the keypoints."""

    def __init__(self, model: SiLK, keypoints: int) -> None:
        super().__init__()
        self.model, self.keypoints = model, keypoints

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, descriptors = self.model(image.float() / 255)
        scores, position = logits.sigmoid().flatten().topk(self.keypoints)
        width = logits.shape[3]
        y = position // width
        keypoints = torch.stack([position - y * width, y], dim=1).float() + self.model.border
        chosen = F.normalize(descriptors, dim=1)[0].flatten(1)[:, position].T
        return keypoints, scores, chosen


def naive_session(pipeline: NaivePipeline, example: Tensor, threads: int) -> onnxruntime.InferenceSession:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "naive.onnx"
        torch.onnx.export(pipeline, (example,), path, input_names=["image"], dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # As in the backend. Threads that spin after a run would slow down the other candidates.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measure(
    model: SiLK, image: NDArray[np.uint8], keypoints: int, threads: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Times of all pipelines on one image. Raises RuntimeError if ours do not find the naive export's keypoints."""
    height, width = image.shape
    pipeline, tensor = NaivePipeline(model, keypoints).eval(), torch.from_numpy(image)[None, None]
    session = naive_session(pipeline, tensor, threads)

    @torch.inference_mode()
    def eager() -> None:
        pipeline(tensor)

    candidates: dict[str, Callable[[], object]] = {
        EAGER: eager,
        NAIVE: lambda: session.run(None, {"image": image[None, None]}),
    }
    expected = {tuple(point) for point in session.run(None, {"image": image[None, None]})[0].tolist()}
    found, skipped = find_pipelines(list(BACKENDS), image, threads)
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    for own in found:
        extractor = own.load(keypoints, threads)
        candidates[own.name] = partial(extractor, image)
        same = len(expected & {tuple(point) for point in extractor(image).keypoints.tolist()}) / keypoints
        print(f"{own.name}: {same:.1%} of the naive export's keypoints")
        if own.precision == "fp32" and same < SAME_KEYPOINTS:
            raise RuntimeError(f"{own.name} is not the network that was exported: {same:.1%} of its keypoints")
    return interleaved(candidates, repeats, f"{width}x{height}, K = {keypoints}")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    arguments.add_argument("--repeats", type=int, default=30, help="timed rounds (%(default)s)")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # no warning about torchvision
    model = load_checkpoint(default_model().with_suffix(".safetensors")).network()
    photo = np.tile(data.camera(), (1, 2))[:480, :640]
    times, verdicts = {}, []
    for width, height, keypoints in SETTINGS:
        image = np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        setting = f"{width}x{height}, K = {keypoints}"
        times[setting] = own = measure(model, image, keypoints, options.threads, options.repeats)
        print("\n".join(f"  {name}: {quartiles['median']:.1f} ms" for name, quartiles in own.items()))
        for slow, fast, bound in TARGETS:
            if fast in own:
                ratio = own[slow]["median"] / own[fast]["median"]
                verdicts.append(verdict(f"{slow} / {fast}, {setting}", ratio, bound, at_least=True))
    save("pipeline", {"threads": options.threads, "ms": times, "verdicts": verdicts}, per_machine=True)


if __name__ == "__main__":
    main()
