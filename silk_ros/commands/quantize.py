"""Make the int8 version of an exported network, and judge what that loses before anything is written.

    quantize models/silk_vggnp_mu.onnx --images photos --pairs hpatches
    quantize my_model.onnx --images recording.mcap --pairs recording.mcap

The images (a folder, video or recording) set the ranges of the activations; a few dozen of what the camera will see do.
The pairs judge: sequences with homographies in HPatches' layout, or any video or recording, whose frames are paired and
matches judged by the epipolar geometry that most of them share. A file that lost too much is not written, and the
runtime refuses one that says so in its metadata. The int8 version lies beside the float one and is used with
precision:=int8.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..backends.model import check_gate, int8_path, sha256
from ..backends.parity import common_keypoints
from ..evaluation.datasets.hpatches import SHORTER_EDGE, find_sequences
from ..evaluation.options import DatasetError
from ..extractor import Extractor
from ..geometry.epipolar import estimated_inliers
from ..geometry.homography import reprojection_error
from ..images.gray import to_gray
from ..images.source import IMAGE_SUFFIXES
from ..images.sources import open_source
from ..matcher import match
from ..types import Features

CALIBRATION_IMAGES = 48
CALIBRATION_SIZE = 320, 240  # width and height: what a camera of 640x480 gives at half size
KEYPOINTS = 5000
FRAME_GAP = 5  # between the two frames of a pair
FRAME_PAIRS = 20
CLOSE, NEAR = 1.0, 3.0  # pixels between a match and where it should be

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two grey images, and the homography (3, 3) from the first to the second where it is known."""

    first: Image
    second: Image
    homography: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Report:
    """What a quantised network keeps of the float one, means over pairs.

    topk_overlap:      share of the best keypoints that are the same.
    descriptor_cosine: of the descriptors of those.
    mma_1:             share of the matches within a pixel, of pairs with a homography.
    match_precision:   share of the matches that are right: within 3 px of the homography, or epipolar inliers.
    """

    topk_overlap: float
    descriptor_cosine: float
    mma_1: float
    float_mma_1: float
    match_precision: float
    float_match_precision: float
    pairs: int


def _frames(source: str) -> Iterator[Image]:
    """The grey images of a folder with its sub-folders, of a video or a recording. Raises ValueError for a camera."""
    if source.isdecimal():
        raise ValueError(f"'{source}' is a camera, which never ends: record it first")
    if Path(source).is_dir() and any(path.is_dir() for path in Path(source).iterdir()):
        names = sorted(path for path in Path(source).rglob("[!.]*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if names:
            read = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in names)
            yield from (np.asarray(image, np.uint8) for image in read if image is not None)
            return
    for image in open_source(source):
        yield to_gray(image.data.data, image.height, image.width, image.encoding, image.step, image.is_bigendian)


def calibration_images(source: str) -> list[Image]:
    """At most CALIBRATION_IMAGES, evenly spread, cut to CALIBRATION_SIZE. Raises ValueError if there is none."""
    kept: list[Image] = []
    stride = 1
    for index, frame in enumerate(tqdm(_frames(source), desc="reading", unit="image", leave=False)):
        if index % stride == 0:
            kept.append(_middle(frame))
            if len(kept) > 2 * CALIBRATION_IMAGES:
                kept, stride = kept[::2], stride * 2
    if not kept:
        raise ValueError(f"no images in '{source}': give a folder, video or recording of what the camera sees")
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(CALIBRATION_IMAGES, len(kept))).round().astype(int))
    return [kept[index] for index in chosen]


def _middle(image: Image) -> Image:
    width, height = CALIBRATION_SIZE
    factor = max(height / image.shape[0], width / image.shape[1])
    size = max(width, round(image.shape[1] * factor)), max(height, round(image.shape[0] * factor))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width], np.uint8)


def read_pairs(source: str, skip: Sequence[str] = ()) -> list[Pair]:
    """Pairs of HPatches sequences without those named in `skip`, or of a source's frames.

    Raises ValueError (DatasetError among it), naming the fix.
    """
    root = Path(source)
    if root.is_dir() and any(root.glob("*/H_1_*")):
        pairs = []
        for sequence in find_sequences(root, SHORTER_EDGE, skip):
            first, views = sequence.read()
            pairs += [Pair(first, view.image, view.homography) for view in views]
        return pairs
    count = sum(1 for _ in _frames(source))
    starts = range(0, count - FRAME_GAP, max(1, (count - FRAME_GAP) // FRAME_PAIRS))[:FRAME_PAIRS]
    if not len(starts):
        raise ValueError(f"'{source}' has {count} images: at least {FRAME_GAP + 1} are needed to pair them")
    wanted = {*starts, *(start + FRAME_GAP for start in starts)}
    found = {index: frame for index, frame in enumerate(_frames(source)) if index in wanted}
    return [Pair(found[start], found[start + FRAME_GAP]) for start in starts]


def _right(pair: Pair, a: Features, b: Features) -> tuple[float, float]:
    """Shares of the matches within a pixel (NaN without a homography), and that are right."""
    rows = match(a, b).indices
    points0, points1 = a.keypoints[rows[:, 0]], b.keypoints[rows[:, 1]]
    if not len(rows):
        return 0.0, 0.0
    if pair.homography is None:
        return np.nan, float(estimated_inliers(points0, points1, CLOSE).mean())
    errors = reprojection_error(pair.homography, points0, points1)
    return float((errors <= CLOSE).mean()), float((errors <= NEAR).mean())


def compare(reference: Extractor, quantised: Extractor, pairs: Sequence[Pair]) -> Report:
    """Judge a quantised network by the float one on pairs of images."""
    rows = []
    for pair in tqdm(pairs, desc="judging", unit="pair"):
        before, after = (
            [extractor(image) for image in (pair.first, pair.second)] for extractor in (reference, quantised)
        )
        here, there = common_keypoints(before[1].keypoints, after[1].keypoints)
        cosine = np.einsum("nd,nd->n", before[1].descriptors[here], after[1].descriptors[there])
        overlap = len(here) / max(1, len(before[1]))
        rows.append((overlap, cosine.mean() if len(here) else 0.0, *_right(pair, *after), *_right(pair, *before)))
    overlap, cosine, mma, precision, float_mma, float_precision = np.mean(rows, axis=0).round(4).tolist()
    return Report(overlap, cosine, mma, float_mma, precision, float_precision, len(rows))


def check_before(model: Path, output: Path) -> Extractor:
    """The float network. Raises before anything slow is done if it, the output or an installation is not as needed."""
    from ..backends import quantization  # noqa: F401 - says what to install

    if output.resolve() == model.resolve():
        raise ValueError(f"--output '{output}' is the float file: give another name")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder '{output.parent}' for --output: make it first")
    return Extractor.load(model, KEYPOINTS, precision="fp32")


def quantize(reference: Extractor, images: Sequence[Image], pairs: Sequence[Pair], output: Path) -> Report:
    """Write the int8 version of the float network that `check_before` gave.

    Raises ValueError, with the figures, instead if it lost too much.
    """
    from ..backends import quantization

    model = reference.backend.model
    with tqdm(images, desc="calibrating", unit="image") as progress:
        network = quantization.quantize_network(model, images, iter(progress))
    with tempfile.TemporaryDirectory() as folder:
        # Without figures yet, and so not called int8 either.
        candidate = Path(folder) / "candidate.onnx"
        quantization.save(network, candidate)
        report = compare(reference, Extractor.load(candidate, KEYPOINTS), pairs)
    figures = {name: str(value) for name, value in asdict(report).items()}
    check_gate(output, figures)
    quantization.set_metadata(
        network, {"precision": "int8", "float_sha256": sha256(model), "images": len(images), **figures}
    )
    partial = output.with_suffix(".partial")
    quantization.save(network, partial)
    partial.replace(output)
    return report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="quantize", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the float ONNX file")
    parser.add_argument("--images", required=True, metavar="SOURCE", help="what sets the ranges")
    parser.add_argument("--pairs", required=True, metavar="SOURCE", help="what judges the outcome")
    parser.add_argument("--skip", nargs="+", metavar="SEQUENCE", default=[], help="sequences of the pairs to leave out")
    parser.add_argument("--output", type=Path, help="where to write (default: NAME_int8.onnx beside the model)")
    options = parser.parse_args(arguments)
    output = options.output or int8_path(options.model)
    try:
        reference = check_before(options.model, output)
        pairs = read_pairs(options.pairs, options.skip)
        report = quantize(reference, calibration_images(options.images), pairs, output)
    except (OSError, ValueError, ImportError, DatasetError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 1
    print(
        f"wrote {output}: of the best {KEYPOINTS} keypoints {report.topk_overlap:.1%} are those of the float network,"
    )
    print(f"their descriptors have a cosine of {report.descriptor_cosine:.4f}; means of {report.pairs} pairs:")
    print(f"  matches that are right: {report.match_precision:.4f}, float {report.float_match_precision:.4f}")
    if np.isfinite(report.mma_1):
        print(f"  matches within a pixel: {report.mma_1:.4f}, float {report.float_mma_1:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
