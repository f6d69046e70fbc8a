"""Learn the binary code of an exported network and store it in its ONNX file.

    python -m training.binary models/silk_vggnp_mu.onnx --images train_photos train_photos/clothing_cc0=0.15

A bit is a half-space of the network's float descriptors: 256 directions, each cut where half of the descriptors lie on
either side. The directions start as random rotations, and are learned so that the Hamming distance tells true matches
from the other keypoints of an image: pairs of photographs under random homographies, as in training, and the same loss
(double softmax, paper Sec. 3.4.4) on the bits, whose gradient is that of a smooth sign.

The network itself is left as it is: the code is an entry in the file's metadata. The int8 version beside the file gets
the same code. Minutes on two cores; some hundred photographs do. For a network of your own, take the images it was
trained on, or a recording of the camera.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from silk_ros import Extractor, match
from silk_ros.backends.model import int8_path, sha256
from silk_ros.backends.quantization import save, set_metadata
from silk_ros.binary import BITS, BinaryCode, hamming_match
from silk_ros.matcher import TEMPERATURE
from silk_ros.types import Features, Matches

from .config import DEFAULT_CONFIG, load_config
from .data import HomographyPairs
from .homography import warp_points
from .photos import Photos
from .train import parse_data

MAP_SIZE = 314  # side of a crop's map: a third of a camera's image
KEYPOINTS = 2000  # of a crop, about as dense as 5000 in a camera's image
CLOSE = 1.0  # pixels between two keypoints that are the same
PAIRS, HELD_OUT_PAIRS, HELD_OUT_PHOTOS = 200, 20, 16
STEPS, QUERIES = 500, 256  # a step is of one pair; its queries are compared with all keypoints of the other image
LEARNING_RATE = 5e-3
BALANCE_EVERY = 20  # steps
SAMPLE = 8000  # descriptors that the medians are taken of, while learning


@dataclass(frozen=True, eq=False)
class DescriptorPair:
    """What a network finds in two views of a photograph.

    a, b: its features (N and M).
    same: (C, 2) int64, rows of a and b that are the same point of the photograph, one to one.
    """

    a: Features
    b: Features
    same: NDArray[np.int64]

    def recall(self, matches: Matches) -> float:
        """Share of the same points that are matched."""
        partner = np.full(len(self.a), -1)
        partner[self.same[:, 0]] = self.same[:, 1]
        rows, columns = matches.indices.T
        return float((partner[rows] == columns).sum() / len(self.same))


def same_points(points0: NDArray[np.floating], points1: NDArray[np.floating], homography: np.ndarray) -> np.ndarray:
    """Rows (C, 2) of keypoints (N, 2) and (M, 2) that are mutually nearest, and within CLOSE pixels of image 1."""
    warped = np.clip(warp_points(homography, points0.astype(np.float64)), -1e6, 1e6)  # the horizon is at infinity
    distance = torch.cdist(torch.from_numpy(warped), torch.from_numpy(points1.astype(np.float64)))
    nearest, column = distance.min(dim=1)
    back = distance.argmin(dim=0)[column]
    rows = torch.nonzero((nearest <= CLOSE) & (back == torch.arange(len(points0))))[:, 0]
    return torch.stack([rows, column[rows]], dim=1).numpy()


def descriptor_pairs(extractor: Extractor, photos: Photos, count: int, seed: int) -> list[DescriptorPair]:
    """Pairs under random homographies, with the shipped recipe's augmentation; those with nothing in common left out.

    Raises ValueError if that is all of them.
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
        raise ValueError("the network finds no point again in any of the images: give photographs with texture")
    return pairs


def random_code(descriptor_dim: int, seed: int) -> BinaryCode:
    """Random hyperplanes through the origin (Charikar, STOC 2002): the baseline, which needs no training."""
    normals = np.random.default_rng(seed).normal(size=(descriptor_dim, BITS))
    return BinaryCode(normals / np.linalg.norm(normals, axis=0), np.zeros(BITS, np.float32))


def rotations(descriptor_dim: int, seed: int) -> Tensor:
    """BITS unit directions (D, BITS) float32: as many random rotations as it takes, side by side."""
    rng = np.random.default_rng(seed)
    blocks = [
        np.linalg.qr(rng.normal(size=(descriptor_dim, descriptor_dim)))[0] for _ in range(-(-BITS // descriptor_dim))
    ]
    return torch.from_numpy(np.concatenate(blocks, axis=1)[:, :BITS].astype(np.float32))


def _bits(descriptors: Tensor, directions: Tensor, thresholds: Tensor) -> Tensor:
    """Codes (N, 256) of +-1/16, with the gradient of a smooth sign (straight through; Bengio et al., 2013)."""
    spread = descriptors.shape[1] ** 0.5  # of unit descriptors: their projections are about 1 / spread
    projected = spread * (descriptors @ directions - thresholds)
    smooth = torch.tanh(projected)
    return (smooth + (torch.where(projected > 0, 1.0, -1.0) - smooth).detach()) / BITS**0.5


def learn(pairs: Sequence[DescriptorPair], steps: int = STEPS, seed: int = 0) -> BinaryCode:
    """A code whose Hamming distance tells the same points from all others; each bit is set in half of `pairs`."""
    rng = np.random.default_rng(seed)
    descriptors = np.concatenate([pair.a.descriptors for pair in pairs])
    sample = torch.from_numpy(rng.permutation(descriptors)[:SAMPLE])
    weights = rotations(descriptors.shape[1], seed).requires_grad_()
    # One over the temperature of the similarity, learned from the network's own on.
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
    # As it will be stored, so that the thresholds cut these very projections in half.
    projection = F.normalize(weights.detach(), dim=0).numpy().astype(np.float16).astype(np.float32)
    return BinaryCode(projection, np.median(descriptors @ projection, axis=0).astype(np.float16))


def mean_recall(pairs: Sequence[DescriptorPair], code: BinaryCode | None) -> float:
    """Share of the same points that mutual nearest neighbours find, by code or (None) by float descriptors."""
    found: Callable[[Features, Features], Matches] = (
        match if code is None else lambda a, b: hamming_match(code.encode(a.descriptors), code.encode(b.descriptors))
    )
    return float(np.mean([pair.recall(found(pair.a, pair.b)) for pair in tqdm(pairs, desc="judging", leave=False)]))


def check_before(model: Path, output: Path) -> None:
    """Raise ValueError or FileNotFoundError, before anything slow is done, for files that cannot be written later."""
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder '{output.parent}' for --output: make it first")
    if int8_path(model).is_file() and _metadata(onnx.load(int8_path(model))).get("float_sha256") != sha256(model):
        raise ValueError(f"'{int8_path(model)}' was not made from '{model}' as it is now: quantize that again")


def write_code(model: Path, output: Path, code: BinaryCode) -> list[Path]:
    """Store a code in a network's file, and in its int8 version if it has one. Returns what was written.

    Only metadata change. The int8 file names the float one it was made from by its digest: the new file has the same
    network, and so its digest takes the old one's place.
    """
    check_before(model, output)
    quantised = onnx.load(int8_path(model)) if int8_path(model).is_file() else None
    _write(onnx.load(model), output, code.to_metadata())
    if quantised is None:
        return [output]
    _write(quantised, int8_path(output), code.to_metadata() | {"float_sha256": sha256(output)})
    return [output, int8_path(output)]


def _metadata(network: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in network.metadata_props}


def _write(network: onnx.ModelProto, path: Path, entries: dict[str, str]) -> None:
    set_metadata(network, entries)
    partial = path.with_suffix(".partial")
    save(network, partial)
    partial.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="binary", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the float ONNX file, as training.export wrote it")
    parser.add_argument(
        "--images",
        type=parse_data,
        nargs="+",
        required=True,
        metavar="PATH[=WEIGHT]",
        help="folders of photographs, videos or recordings; weights as of training.train --data",
    )
    parser.add_argument("--output", type=Path, help="where to write (default: the model itself)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of views to learn from (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimisation steps, of one pair each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of pairs and directions (%(default)s)")
    options = parser.parse_args(arguments)
    output = options.output or options.model
    try:
        if min(options.pairs, options.steps) < 1 or options.seed < 0:
            raise ValueError("--pairs and --steps must be at least 1, --seed at least 0")
        extractor = Extractor.load(options.model, KEYPOINTS, precision="fp32")
        check_before(options.model, output)
        photos = Photos.from_sources(dict(options.images))
        if len(photos) < 2:
            raise ValueError("one image is not enough to learn from and to judge by: give --images more of them")
        photos, held_out = photos.split(min(HELD_OUT_PHOTOS, len(photos) // 2))
        code = learn(descriptor_pairs(extractor, photos, options.pairs, options.seed), options.steps, options.seed)
        judged = descriptor_pairs(extractor, held_out, HELD_OUT_PAIRS, options.seed)
        written = write_code(options.model, output, code)
    except (OSError, ValueError, ImportError) as error:
        print(f"binary: {error}", file=sys.stderr)
        return 1
    print("share of the same points that mutual nearest neighbours find, on photographs held out:")
    random = random_code(code.descriptor_dim, options.seed)
    for name, judge in (("float descriptors", None), ("this code", code), ("random hyperplanes", random)):
        print(f"  {name}: {mean_recall(judged, judge):.3f}")
    print("wrote " + ", ".join(map(str, written)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
