"""Learn the binary code of an exported network and store it in its ONNX file.

    python -m training.binary models/silk_vggnp_mu.onnx --images train_photos train_photos/clothing_cc0=0.15

A bit is a half-space of the network's float descriptors: 256 directions, each with a threshold that splits the
descriptors in half. The directions start as random rotations and are learned from pairs of photographs under random
homographies so that the Hamming distance separates true matches from the other keypoints of an image. The loss is that
of training (double softmax, paper Sec. 3.4.4) on the bits, with the gradient of a smooth sign.

The network itself does not change: the code is an entry in the file's metadata. An int8 version beside the file gets
the same code. Learning takes minutes on two cores; some hundred photographs suffice. For a network of your own, give
the images that it was trained on, or a recording of the camera.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from silk_ros import Extractor, match
from silk_ros.backends.model import ModelFile, int8_path, sha256
from silk_ros.backends.quantization import set_metadata
from silk_ros.binary import BITS, BinaryCode, hamming_match
from silk_ros.geometry.homography import warp_points
from silk_ros.matcher import TEMPERATURE
from silk_ros.types import Features, Matches

from .config import DEFAULT_CONFIG, load_config
from .data import HomographyPairs
from .options import add_data, readable_errors
from .photos import Photos

KEYPOINTS = 2000  # per crop: about the density of 5000 in a camera image
PAIRS, HELD_OUT_PAIRS, HELD_OUT_PHOTOS = 200, 20, 16
MAP_SIZE = 314  # side of a crop's map: a third of a camera image
SAME_POINT = 1.0  # pixels; largest distance between two keypoints of the same point
STEPS, QUERIES = 500, 256  # a step takes one pair; its queries are compared with all keypoints of the other image
LEARNING_RATE = 5e-3
BALANCE_EVERY = 20  # steps between updates of the thresholds
SAMPLE = 8000  # descriptors whose medians are the thresholds during learning


class DescriptorPair(NamedTuple):
    """Features of two views of a photograph, and the rows (C, 2) of a and b that are the same point, one to one."""

    a: Features
    b: Features
    same: NDArray[np.int64]

    def recall(self, matches: Matches) -> float:
        """Share of the same points that are matched."""
        same, matched = (set(map(tuple, rows.tolist())) for rows in (self.same, matches.indices))
        return len(same & matched) / len(same)


def same_points(points0: NDArray[np.floating], points1: NDArray[np.floating], homography: np.ndarray) -> np.ndarray:
    """Rows (C, 2) of keypoints (N, 2) and (M, 2) that are mutually nearest, within SAME_POINT pixels in image 1."""
    warped = np.clip(warp_points(homography, points0, ahead=True), -1e6, 1e6)  # points at the horizon are inf
    distance = torch.cdist(torch.from_numpy(warped), torch.from_numpy(points1.astype(np.float64)))
    nearest, column = distance.min(dim=1)
    back = distance.argmin(dim=0)[column]
    rows = torch.nonzero((nearest <= SAME_POINT) & (back == torch.arange(len(points0))))[:, 0]
    return torch.stack([rows, column[rows]], dim=1).numpy()


def descriptor_pairs(extractor: Extractor, photos: Photos, count: int, seed: int) -> list[DescriptorPair]:
    """Features of `count` pairs of views, with the homographies and augmentation of the shipped recipe.

    Pairs without a common point are left out. Raises ValueError if no pair is left.
    """
    config = load_config(DEFAULT_CONFIG)
    views = HomographyPairs(photos, config, extractor.backend.border, 1, count, MAP_SIZE, seed)
    pairs = []
    for index in tqdm(range(count), desc="describing", unit="pair"):
        images, _, homography = views[index]
        a, b = (extractor(np.ascontiguousarray(image[0].numpy())) for image in images)
        same = same_points(a.keypoints, b.keypoints, homography.numpy())
        if len(same):
            pairs.append(DescriptorPair(a, b, same))
    if not pairs:
        raise ValueError("no keypoint of any image is found again in its second view: give photographs with texture")
    return pairs


def random_code(descriptor_dim: int, seed: int) -> BinaryCode:
    """Random hyperplanes through the origin (Charikar, STOC 2002): the baseline without learning."""
    normals = np.random.default_rng(seed).normal(size=(descriptor_dim, BITS))
    return BinaryCode(normals / np.linalg.norm(normals, axis=0), np.zeros(BITS, np.float32))


def rotations(descriptor_dim: int, seed: int) -> Tensor:
    """BITS unit directions (D, BITS) float32: the columns of random rotations, side by side."""
    normal = np.random.default_rng(seed).normal(size=(-(-BITS // descriptor_dim), descriptor_dim, descriptor_dim))
    columns = np.concatenate([np.linalg.qr(block)[0] for block in normal], axis=1)
    return torch.from_numpy(columns[:, :BITS].astype(np.float32))


def _bits(descriptors: Tensor, directions: Tensor, thresholds: Tensor) -> Tensor:
    """Codes (N, 256) of +-1/16, with the gradient of a smooth sign (straight through; Bengio et al., 2013)."""
    spread = descriptors.shape[1] ** 0.5  # projections of unit descriptors are about 1 / spread
    projected = spread * (descriptors @ directions - thresholds)
    smooth = torch.tanh(projected)
    return (smooth + (torch.where(projected > 0, 1.0, -1.0) - smooth).detach()) / BITS**0.5


def learn(pairs: Sequence[DescriptorPair], steps: int = STEPS, seed: int = 0) -> BinaryCode:
    """A code whose Hamming distance separates the same points from all others; each bit is set in half of `pairs`."""
    rng = np.random.default_rng(seed)
    descriptors = np.concatenate([pair.a.descriptors for pair in pairs])
    sample = torch.from_numpy(rng.permutation(descriptors)[:SAMPLE])
    weights = rotations(descriptors.shape[1], seed).requires_grad_()
    # Logarithm of the inverse temperature of the similarity; learned, starting at the network's own.
    log_scale = torch.tensor(-np.log(TEMPERATURE), dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([weights, log_scale], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    progress = tqdm(range(steps), desc="learning", unit="step")
    for step in progress:
        directions = F.normalize(weights, dim=0)
        if step % BALANCE_EVERY == 0:
            thresholds = (sample @ directions.detach()).median(dim=0).values
        pair = pairs[int(rng.integers(len(pairs)))]
        a, b = (
            _bits(torch.from_numpy(side.descriptors), directions, thresholds) * (log_scale / 2).exp()
            for side in (pair.a, pair.b)
        )
        rows, columns = torch.from_numpy(rng.permutation(pair.same)[:QUERIES]).T
        loss = F.cross_entropy(a[rows] @ b.T, columns) + F.cross_entropy(b[columns] @ a.T, rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % BALANCE_EVERY == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}")
    # Rounded to the stored float16 first, so that the thresholds halve these projections.
    projection = F.normalize(weights.detach(), dim=0).numpy().astype(np.float16).astype(np.float32)
    return BinaryCode(projection, np.median(descriptors @ projection, axis=0).astype(np.float16))


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
    network, partial = onnx.load(source), target.with_suffix(".partial")
    set_metadata(network, entries)
    onnx.save(network, partial)
    partial.replace(target)


@readable_errors
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    extractor = Extractor.load(options.model, KEYPOINTS, precision="fp32")
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


if __name__ == "__main__":
    sys.exit(main())
