"""Learn the binary code of an exported network and store it in its ONNX file.

    python -m training.binary models/silk_vggnp_mu.onnx --images train_photos train_photos/clothing_cc0=0.15

A bit tells whether the projection of a float descriptor on a direction is in an interval. Directions, which start as
random rotations, and intervals are learned from pairs of views of photographs with the keypoints that a SLAM system
gets (preset orb_slam), so that the Hamming distance separates true matches from all other keypoints of an image but
those around the true one. The loss is that of training (double softmax, paper Sec. 3.4.4) on the bits, with the
gradient of a smooth sign, and limits of the distance: back-ends take what is nearer than a fixed number of bits.

The network itself does not change: the code is an entry in the file's metadata. An int8 version beside the file gets
the same code. Learning takes minutes on two cores; some hundred photographs suffice. For a network of your own, give
the images that it was trained on, or a recording of the camera.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from silk_ros import match
from silk_ros.backends.model import ModelFile, int8_path, sha256
from silk_ros.backends.quantization import save, set_metadata
from silk_ros.binary import BITS, BinaryCode, hamming_match
from silk_ros.command_line import command_parser
from silk_ros.matcher import TEMPERATURE
from silk_ros.types import Features, Matches

from .binary_pairs import DescriptorPair, descriptor_pairs
from .options import add_data, program, readable_errors
from .photos import Photos
from .slam_features import slam_extractor

PAIRS, HELD_OUT_PAIRS, HELD_OUT_PHOTOS = 600, 30, 16
STEPS, QUERIES = 2000, 400  # a step takes one pair; its queries are compared with all keypoints of the other image
# Quantiles of the projections between which a bit is set at first. A half-space (0 and 0.5) has one end among the
# descriptors, an interval has two, so that small differences flip more bits.
QUANTILES = (0.2, 0.7)
# Bits by which true matches should differ at most, and all others at least, and the softness of both limits. They make
# half of the true matches between neighbouring camera images differ by at most 50 bits, which is ORB-SLAM's limit, and
# few of the nearest wrong ones (docs/binary.md).
TRUE_WITHIN, OTHERS_BEYOND, SOFTNESS = 56.0, 68.0, 4.0
LEARNING_RATE = 5e-3
SHOWN_EVERY = 20  # steps between two values of the loss on the progress bar
SAMPLE = 8000  # descriptors whose quantiles are taken
NEVER = -2.0  # similarity below all others
UNBOUNDED = 1e4  # threshold beyond all projections


def random_code(descriptor_dim: int, seed: int) -> BinaryCode:
    """Random hyperplanes through the origin (Charikar, STOC 2002): the baseline without learning."""
    normals = np.random.default_rng(seed).normal(size=(descriptor_dim, BITS))
    thresholds = np.stack([np.zeros(BITS), np.full(BITS, UNBOUNDED)])
    return BinaryCode(normals / np.linalg.norm(normals, axis=0), thresholds)


def rotations(descriptor_dim: int, seed: int) -> Tensor:
    """BITS unit directions (D, BITS) float32: the columns of random rotations, side by side."""
    normal = np.random.default_rng(seed).normal(size=(-(-BITS // descriptor_dim), descriptor_dim, descriptor_dim))
    columns = np.concatenate([np.linalg.qr(block)[0] for block in normal], axis=1)
    return torch.from_numpy(columns[:, :BITS].astype(np.float32))


def _bits(descriptors: Tensor, directions: Tensor, thresholds: Tensor) -> Tensor:
    """Codes (N, 256) of +-1/16, with the gradient of a smooth sign (straight through; Bengio et al., 2013)."""
    spread = descriptors.shape[1] ** 0.5  # projections of unit descriptors are about 1 / spread
    projected, (lower, upper) = descriptors @ directions, thresholds
    inside = spread * torch.minimum(projected - lower, upper - projected)
    smooth = torch.tanh(inside)
    return (smooth + (torch.where(inside > 0, 1.0, -1.0) - smooth).detach()) / BITS**0.5


def _loss(query: Tensor, candidates: Tensor, same: Tensor, others: Tensor, scale: Tensor) -> Tensor:
    """Loss of queries (Q, 256), of which candidates (M, 256) have the same point (Q,) and other points (Q, M).

    scale: the inverse temperature of the similarity.
    """
    similarity = query @ candidates.T
    right, wrong = similarity.gather(1, same[:, None]), torch.where(others, similarity, NEVER)
    first = torch.zeros(len(query), dtype=torch.int64)
    contrast = F.cross_entropy(scale * torch.cat([right, wrong], dim=1), first)
    true_bits, other_bits = (BITS / 2 * (1 - each) for each in (right[:, 0], wrong.amax(dim=1)))
    too_far, too_near = true_bits - TRUE_WITHIN, OTHERS_BEYOND - other_bits
    return contrast + F.softplus(too_far / SOFTNESS).mean() + F.softplus(too_near / SOFTNESS).mean()


def learn(pairs: Sequence[DescriptorPair], steps: int = STEPS, seed: int = 0) -> BinaryCode:
    """A code whose Hamming distance separates the same points of `pairs` from all others."""
    rng = np.random.default_rng(seed)
    descriptors = np.concatenate([pair.a.descriptors for pair in pairs])
    sample = torch.from_numpy(rng.permutation(descriptors)[:SAMPLE])
    weights = rotations(descriptors.shape[1], seed)
    thresholds = torch.quantile(sample @ weights, torch.tensor(QUANTILES), dim=0).requires_grad_()
    weights.requires_grad_()
    # Logarithm of the inverse temperature, starting at the network's own.
    log_scale = torch.tensor(-np.log(TEMPERATURE), dtype=torch.float32, requires_grad=True)
    slow = LEARNING_RATE / descriptors.shape[1] ** 0.5  # projections change by as little
    parameters = [{"params": [weights, log_scale]}, {"params": [thresholds], "lr": slow}]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    progress = tqdm(range(steps), desc="learning", unit="step")
    for step in progress:
        pair = pairs[int(rng.integers(len(pairs)))]
        directions = F.normalize(weights, dim=0)
        a, b = (_bits(torch.from_numpy(side.descriptors), directions, thresholds) for side in (pair.a, pair.b))
        queries = rng.permutation(len(pair.same))[:QUERIES]
        rows, columns = torch.from_numpy(pair.same[queries]).T
        scale = log_scale.exp()
        loss = _loss(a[rows], b, columns, torch.from_numpy(pair.other_b[queries]), scale)
        loss = loss + _loss(b[columns], a, rows, torch.from_numpy(pair.other_a[queries]), scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % SHOWN_EVERY == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}")
    # Rounded as a file stores them.
    stored = (values.detach().half().float().numpy() for values in (F.normalize(weights, dim=0), thresholds))
    return BinaryCode(*stored)


def mean_recall(pairs: Sequence[DescriptorPair], code: BinaryCode | None) -> float:
    """Share of the same points that are mutual nearest neighbours by code, or by float descriptors for None."""

    def matches(a: Features, b: Features) -> Matches:
        return hamming_match(code.encode(a.descriptors), code.encode(b.descriptors)) if code else match(a, b)

    return float(np.mean([pair.recall(matches(pair.a, pair.b)) for pair in tqdm(pairs, desc="testing", leave=False)]))


def check_files(model: Path, output: Path) -> None:
    """Raise ValueError or FileNotFoundError, before the slow part, for files that cannot be written at the end."""
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder '{output.parent}' for --output: make it first")
    quantised = int8_path(model)
    if quantised.is_file() and ModelFile.read(quantised).metadata.get("float_sha256") != sha256(model):
        raise ValueError(f"'{quantised}' was made from another version of '{model}': quantize the model again")


def write_code(model: Path, output: Path, code: BinaryCode) -> list[Path]:
    """Store a code in a network's file and in its int8 version, if there is one. Returns the paths written.

    Only metadata change. The int8 file holds the digest of its float file; it is replaced by that of the new file.
    """
    check_files(model, output)
    _copy(model, output, code.to_metadata())
    if not int8_path(model).is_file():
        return [output]
    _copy(int8_path(model), int8_path(output), code.to_metadata() | {"float_sha256": sha256(output)})
    return [output, int8_path(output)]


def _copy(source: Path, target: Path, entries: dict[str, str]) -> None:
    """Copy a network's file with additional metadata, atomically."""
    network = onnx.load(source)
    set_metadata(network, entries)
    save(network, target)


@readable_errors
def main(arguments: list[str] | None = None) -> None:
    parser = command_parser(None, __doc__)
    parser.add_argument("model", type=Path, help="the float ONNX file that training.export wrote")
    add_data(parser, "--images", "as training.train --data", required=True)
    parser.add_argument("--output", type=Path, help="file to write (default: the model itself)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of views to learn from (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimisation steps, of one pair each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of pairs and directions (%(default)s)")
    options = parser.parse_args(arguments)
    output = options.output or options.model
    if min(options.pairs, options.steps) < 1 or options.seed < 0:
        raise ValueError("--pairs and --steps must be at least 1, --seed at least 0")
    extractor = slam_extractor(options.model)
    check_files(options.model, output)
    photos = Photos.from_sources(dict(options.images))
    if len(photos) < 2:
        raise ValueError("one image is not enough for a training set and a test set: give --images more of them")
    photos, held_out = photos.split(min(HELD_OUT_PHOTOS, len(photos) // 2))
    code = learn(descriptor_pairs(extractor, photos, options.pairs, options.seed), options.steps, options.seed)
    tested = descriptor_pairs(extractor, held_out, HELD_OUT_PAIRS, options.seed)
    written = write_code(options.model, output, code)
    print("share of the same points that are mutual nearest neighbours, on held-out photographs:")
    random = random_code(code.descriptor_dim, options.seed)
    for name, candidate in (("float descriptors", None), ("this code", code), ("random hyperplanes", random)):
        print(f"  {name}: {mean_recall(tested, candidate):.3f}")
    print("wrote " + ", ".join(map(str, written)))
    print(f"next: {program('vocabulary', str(output), '--images', *(path for path, _ in options.images))}")


if __name__ == "__main__":
    sys.exit(main())
