"""Pairs of images, and the share of right matches that a network finds in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..backends.parity import common_keypoints
from ..extractor import Extractor
from ..geometry.epipolar import estimated_inliers
from ..geometry.homography import reprojection_error
from ..images.folders import EVERYWHERE, FolderSource, photographs
from ..images.sources import open_recorded
from ..images.storage.names import is_recording
from ..matcher import match
from ..types import Features
from .datasets.gray_images import Image
from .datasets.hpatches import SHORTER_EDGE, find_sequences, is_hpatches
from .metrics import share_within

KEYPOINTS = 5000
FRAME_GAP = 5  # between the two frames of a pair
FRAME_PAIRS = 20
CLOSE, NEAR = 1.0, 3.0  # pixels between a match and its true position


@dataclass(frozen=True, eq=False)
class Pair:
    """Two grey images, and the homography (3, 3) from the first to the second where it is known."""

    first: Image
    second: Image
    homography: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class QuantizationReport:
    """What a quantised network keeps of the float one, means over pairs.

    topk_overlap:      share of the best keypoints that both networks find.
    descriptor_cosine: between the descriptors of these keypoints.
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


def read_gray_frames(source: str, topic: str = "") -> Iterator[Image]:
    """The grey images of a source that ends, those that can be read; of a folder with all its sub-folders.

    topic: of a recording.

    Raises ValueError, naming the fix, as `open_recorded` does, and for a source of which no image can be read.
    """
    folder = Path(source).expanduser()
    are_photographs = folder.is_dir() and not is_recording(folder) and photographs(folder)
    opened = FolderSource(folder, EVERYWHERE) if are_photographs else open_recorded(source, topic)
    yield from (image.gray() for image in opened)


def frame_pairs(frames: Iterable[Image], starts: Sequence[int], gap: int) -> list[Pair]:
    """The pairs of frames `start` and `start + gap` of a stream of grey frames, for each of `starts`."""
    wanted = {*starts, *(start + gap for start in starts)}
    found = {index: frame for index, frame in enumerate(frames) if index in wanted}
    return [Pair(found[start], found[start + gap]) for start in starts]


def read_pairs(source: str, skip: Sequence[str] = (), topic: str = "") -> list[Pair]:
    """Pairs of HPatches sequences without those named in `skip`, or of a source's frames. topic: of a recording.

    Raises ValueError, naming the fix, as `find_sequences` and `open_recorded` do, and for too few frames.
    """
    root = Path(source)
    if is_hpatches(root):
        opened = (sequence.read() for sequence in find_sequences(root, SHORTER_EDGE, skip))
        return [Pair(first, view.image, view.homography) for first, views in opened for view in views]
    images = open_recorded(source, topic)
    count = sum(1 for _ in images)
    starts = range(0, count - FRAME_GAP, max(1, (count - FRAME_GAP) // FRAME_PAIRS))[:FRAME_PAIRS]
    if not len(starts):
        raise ValueError(f"'{source}' has {count} images: at least {FRAME_GAP + 1} are needed to pair them")
    return frame_pairs((image.gray() for image in images), starts, FRAME_GAP)


def matched_points(a: Features, b: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The keypoints (M, 2) of each image that match the other's, in pixels x y."""
    rows = match(a, b).indices
    return a.keypoints[rows[:, 0]], b.keypoints[rows[:, 1]]


def epipolar_inliers(a: Features, b: Features, threshold: float = CLOSE) -> NDArray[np.bool_]:
    """Which matches (M,) of two images agree, within `threshold` pixels, with the epipolar geometry most of them share.

    Both images are views of a rigid scene by one moving camera; the geometry is MAGSAC's fundamental matrix.
    """
    return estimated_inliers(*matched_points(a, b), threshold)


def compare(reference: Extractor, quantised: Extractor, pairs: Sequence[Pair]) -> QuantizationReport:
    """Compare a quantised network with the float one on pairs of images."""
    rows = []
    for pair in tqdm(pairs, desc="judging", unit="pair"):
        before, after = ((network(pair.first), network(pair.second)) for network in (reference, quantised))
        rows.append((*_kept(before[1], after[1]), *_right(pair, *after), *_right(pair, *before)))
    overlap, cosine, mma, precision, float_mma, float_precision = np.mean(rows, axis=0).round(4).tolist()
    return QuantizationReport(overlap, cosine, mma, float_mma, precision, float_precision, len(rows))


def _kept(before: Features, after: Features) -> tuple[float, float]:
    """The share of the keypoints that are still found, and the mean cosine of their descriptors."""
    here, there = common_keypoints(before.keypoints, after.keypoints)
    cosine = np.einsum("nd,nd->n", before.descriptors[here], after.descriptors[there])
    return len(here) / max(1, len(before)), float(cosine.mean()) if len(here) else 0.0


def _right(pair: Pair, a: Features, b: Features) -> tuple[float, float]:
    """The share of the matches within a pixel (NaN without a homography), and the share that are right."""
    if pair.homography is None:
        inliers = epipolar_inliers(a, b)
        return np.nan, float(inliers.mean()) if len(inliers) else 0.0
    errors = reprojection_error(pair.homography, *matched_points(a, b))
    return share_within(errors, CLOSE), share_within(errors, NEAR)
