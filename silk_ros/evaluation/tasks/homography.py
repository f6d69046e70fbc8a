"""Keypoints, matches and estimated homographies on image pairs with known homographies (paper, Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ...draw import draw_pair
from ...geometry.homography import reprojection_error
from ...images.sampling import evenly_spaced
from ..datasets.gray_images import Image
from ..datasets.hpatches import SHORTER_EDGE, HomographySequence, find_sequences
from ..methods.base import Keypoints, Method
from ..metrics import RANSAC_THRESHOLD, corner_error, recall_auc, repeatability, share_within
from ..options import Options
from ..results import Curve, Picture, Row, TaskResult

THRESHOLDS = (1, 3)  # pixels
CURVE_THRESHOLDS = range(1, 11)  # pixels
CORRECT = 3.0  # pixels, in pictures


@dataclass(frozen=True, eq=False)
class MatchedPair:
    """Two images matched by a method, compared with their homography.

    points0, points1: matched keypoints (M, 2) of each image.
    errors:           reprojection errors (M,) in pixels of the second image.
    repeatability:    by radius in pixels, THRESHOLDS.
    keypoints:        mean number of the two images.
    """

    points0: NDArray[np.float32]
    points1: NDArray[np.float32]
    errors: NDArray[np.float64]
    repeatability: dict[int, float]
    keypoints: float


def match_pair(
    method: Method, images: tuple[Image, Image], reference: Keypoints, homography: NDArray[np.float64], options: Options
) -> MatchedPair:
    """Match two grey images (H, W) and compare the matches with the homography (3, 3) from the first to the second.

    reference: the best keypoints of the first image, which many pairs share.
    """
    found = method.extract(images[1]).best(options.top_k)
    indices = method.match(reference, found, ratio=options.ratio, double_softmax=options.double_softmax)
    points0, points1 = reference.keypoints[indices[:, 0]], found.keypoints[indices[:, 1]]
    sizes = image_size(images[0]), image_size(images[1])
    return MatchedPair(
        points0,
        points1,
        reprojection_error(homography, points0, points1),
        {r: repeatability(homography, reference.keypoints, found.keypoints, *sizes, r) for r in THRESHOLDS},
        (len(reference) + len(found)) / 2,
    )


def draw_matched_pair(method: str, images: tuple[Image, Image], matched: MatchedPair, views: str) -> Picture:
    """The matches between two images, with a caption that names the method and the views."""
    correct = matched.errors <= CORRECT
    caption = f"{method}, {views}: {correct.sum()} of {len(correct)} matches within {CORRECT:g} px"
    return Picture(caption, draw_pair(*images, matched.points0, matched.points1, correct))


def image_size(image: Image) -> tuple[int, int]:
    """Width and height."""
    return image.shape[1], image.shape[0]


def evaluate_homography(
    methods: Sequence[Method], root: Path, options: Options, skip: Sequence[str] = ()
) -> TaskResult:
    """Evaluate methods on a folder of sequences in HPatches layout, without those named in `skip`.

    Images are resized to a shorter edge of 480 unless `options` says otherwise. HA and AUC are those of the corner
    errors. Raises DatasetError, naming the file and the layout, for missing or malformed data.
    """
    shorter_edge = options.shorter_edge or SHORTER_EDGE
    sequences = find_sequences(root, shorter_edge, skip)
    total = sum(map(len, sequences))
    pictured = evenly_spaced(total, options.pictures)
    pairs: dict[str, list[_Pair]] = {method.name: [] for method in methods}
    pictures: list[Picture] = []
    with tqdm(total=total, desc="homography", unit="pair", leave=False) as progress:
        for sequence in sequences:
            for images, judged in _judge(methods, sequence, options):
                for name, pair in judged.items():
                    if len(pairs[name]) in pictured:
                        views = f"{sequence.name} 1-{pair.number}"
                        pictures.append(draw_matched_pair(name, images, pair.matched, views))
                    pairs[name].append(pair)
                progress.update()
    return TaskResult(
        task="homography",
        overall=_rows(pairs),
        groups={group: _rows(pairs, group) for group in dict.fromkeys(sequence.group for sequence in sequences)},
        settings={
            "pairs": total,
            "sequences": [sequence.name for sequence in sequences],
            "skipped": list(skip),
            "shorter_edge": shorter_edge,
            "top_k": options.top_k,
            "ratio": options.ratio,
            "double_softmax": options.double_softmax,
            "ransac_threshold": RANSAC_THRESHOLD,
        },
        details={"pairs": {name: [pair.as_json() for pair in judged] for name, judged in pairs.items()}},
        curves=[
            _curve("MMA over threshold", "MMA", pairs, _mma),
            _curve("Homography accuracy over threshold", "homography accuracy", pairs, _homography_accuracy),
        ],
        pictures=pictures,
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    """One method's outcome on the pair of image 1 and image `number` of a sequence."""

    sequence: str
    group: str
    number: int
    corner_error: float
    matched: MatchedPair

    def as_json(self) -> dict[str, Any]:
        return {
            "sequence": self.sequence,
            "image": self.number,
            **{f"repeatability@{r}": value for r, value in self.matched.repeatability.items()},
            "corner_error": self.corner_error,
            **{f"MMA@{t}": share_within(self.matched.errors, t) for t in THRESHOLDS},
            "keypoints": self.matched.keypoints,
            "matches": len(self.matched.errors),
        }


def _judge(
    methods: Sequence[Method], sequence: HomographySequence, options: Options
) -> Iterator[tuple[tuple[Image, Image], dict[str, _Pair]]]:
    """The pairs of a sequence, each with the outcome of every method; image 1 is extracted once."""
    first, views = sequence.read()
    references = [method.extract(first).best(options.top_k) for method in methods]
    for view in views:
        images, judged = (first, view.image), {}
        for method, reference in zip(methods, references):
            matched = match_pair(method, images, reference, view.homography, options)
            corners = corner_error(view.homography, matched.points0, matched.points1, image_size(first))
            judged[method.name] = _Pair(sequence.name, sequence.group, view.number, corners, matched)
        yield images, judged


def _mma(pairs: Sequence[_Pair], threshold: float) -> float:
    return float(np.mean([share_within(pair.matched.errors, threshold) for pair in pairs]))


def _homography_accuracy(pairs: Sequence[_Pair], threshold: float) -> float:
    return share_within([pair.corner_error for pair in pairs], threshold)


def _rows(pairs: Mapping[str, Sequence[_Pair]], group: str | None = None) -> dict[str, Row]:
    """The metrics of each method over all pairs, or those of one group."""
    return {name: _row([pair for pair in judged if group in (None, pair.group)]) for name, judged in pairs.items()}


def _row(pairs: Sequence[_Pair]) -> Row:
    corner_errors = [pair.corner_error for pair in pairs]
    return {
        **{f"repeatability@{r}": float(np.mean([pair.matched.repeatability[r] for pair in pairs])) for r in THRESHOLDS},
        **{f"HA@{t}": _homography_accuracy(pairs, t) for t in THRESHOLDS},
        **{f"AUC@{t}": recall_auc(corner_errors, t) for t in THRESHOLDS},
        **{f"MMA@{t}": _mma(pairs, t) for t in THRESHOLDS},
        "keypoints": float(np.mean([pair.matched.keypoints for pair in pairs])),
        "matches": float(np.mean([len(pair.matched.errors) for pair in pairs])),
    }


def _curve(
    title: str, y_label: str, pairs: Mapping[str, Sequence[_Pair]], value: Callable[[Sequence[_Pair], float], float]
) -> Curve:
    thresholds = [float(threshold) for threshold in CURVE_THRESHOLDS]
    lines = {name: (thresholds, [value(judged, t) for t in thresholds]) for name, judged in pairs.items()}
    return Curve(title, "threshold [px]", y_label, lines)
