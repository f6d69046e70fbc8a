"""Keypoints, matches and estimated homographies on image pairs with known homographies (paper, Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ...geometry.homography import reprojection_error
from ...images.sampling import evenly_spaced
from ..datasets.gray_images import Image
from ..datasets.hpatches import SHORTER_EDGE, find_sequences
from ..methods.base import Keypoints, Method
from ..metrics import RANSAC_THRESHOLD, corner_error, recall_auc, repeatability, share_within
from ..options import Options
from ..results import Curve, Picture, Row, TaskResult
from .summary import match_picture, means

THRESHOLDS = (1, 3)  # pixels
CURVE_THRESHOLDS = range(1, 11)  # pixels
CORRECT = 3.0  # pixels, in pictures


@dataclass(frozen=True, eq=False)
class MatchedPair:
    """Two grey images (H, W) matched by a method, compared with their homography.

    points0, points1: matched keypoints (M, 2) of each image. errors: reprojection errors (M,) in pixels of the second.
    repeatability: by radius in pixels, THRESHOLDS. keypoints: mean number of the two images.
    """

    images: tuple[Image, Image]
    points0: NDArray[np.float32]
    points1: NDArray[np.float32]
    errors: NDArray[np.float64]
    repeatability: dict[int, float]
    keypoints: float

    def picture(self, views: str) -> Picture:
        """The matches, with the names of the method and of the views in the caption."""
        points = self.points0, self.points1
        return match_picture(views, self.images, points, self.errors <= CORRECT, f"matches within {CORRECT:g} px")


def match_pair(
    method: Method, images: tuple[Image, Image], reference: Keypoints, homography: NDArray[np.float64], options: Options
) -> MatchedPair:
    """Match two grey images (H, W) and compare the matches with the homography (3, 3) from the first to the second.

    reference: the best keypoints of the first image, which many pairs share.
    """
    found = method.extract(images[1]).best(options.top_k)
    indices = method.match(reference, found, ratio=options.ratio, double_softmax=options.double_softmax)
    points0, points1 = reference.keypoints[indices[:, 0]], found.keypoints[indices[:, 1]]
    size0, size1 = (image.shape[::-1] for image in images)
    return MatchedPair(
        images,
        points0,
        points1,
        reprojection_error(homography, points0, points1),
        {r: repeatability(homography, reference.keypoints, found.keypoints, size0, size1, r) for r in THRESHOLDS},
        (len(reference) + len(found)) / 2,
    )


def evaluate_homography(method: Method, root: Path, options: Options, skip: Sequence[str] = ()) -> TaskResult:
    """Evaluate a method on a folder of sequences in HPatches layout, without those named in `skip`.

    Images are resized to a shorter edge of 480 unless `options` says otherwise. HA and AUC are those of the corner
    errors. Raises DatasetError, naming the file and the layout, for missing or malformed data.
    """
    shorter_edge = options.shorter_edge or SHORTER_EDGE
    sequences = find_sequences(root, shorter_edge, skip)
    total = sum(map(len, sequences))
    pictured = evenly_spaced(total, options.pictures)
    rows: dict[str, list[dict[str, Any]]] = {sequence.group: [] for sequence in sequences}
    errors: list[NDArray[np.float64]] = []
    pictures: list[Picture] = []
    with tqdm(total=total, desc="homography", unit="pair", leave=False) as progress:
        for sequence in sequences:
            first, views = sequence.read()
            reference = method.extract(first).best(options.top_k)
            for view in views:
                matched = match_pair(method, (first, view.image), reference, view.homography, options)
                corners = corner_error(view.homography, matched.points0, matched.points1, first.shape[::-1])
                if len(errors) in pictured:
                    pictures.append(matched.picture(f"{method.name}, {sequence.name} 1-{view.number}"))
                rows[sequence.group].append({"sequence": sequence.name, "image": view.number, **_row(matched, corners)})
                errors.append(matched.errors)
                progress.update()
    all_rows = [row for of_group in rows.values() for row in of_group]
    accuracy = [share_within([row["corner_error"] for row in all_rows], t) for t in CURVE_THRESHOLDS]
    mma = [float(np.mean([share_within(of_pair, t) for of_pair in errors])) for t in CURVE_THRESHOLDS]
    return TaskResult(
        task="homography",
        overall={method.name: _summary(all_rows)},
        groups={group: {method.name: _summary(of_group)} for group, of_group in rows.items()},
        settings={
            "pairs": total,
            "sequences": [sequence.name for sequence in sequences],
            "skipped": list(skip),
            "shorter_edge": shorter_edge,
            "ransac_threshold": RANSAC_THRESHOLD,
        },
        details={"pairs": {method.name: all_rows}},
        curves=[
            _curve("MMA over threshold", "MMA", method.name, mma),
            _curve("Homography accuracy over threshold", "homography accuracy", method.name, accuracy),
        ],
        pictures=pictures,
    )


def _row(matched: MatchedPair, corners: float) -> Row:
    return {
        **{f"repeatability@{r}": value for r, value in matched.repeatability.items()},
        "corner_error": corners,
        **{f"MMA@{t}": share_within(matched.errors, t) for t in THRESHOLDS},
        "keypoints": matched.keypoints,
        "matches": len(matched.errors),
    }


def _summary(rows: Sequence[dict[str, Any]]) -> Row:
    corner_errors = [row["corner_error"] for row in rows]
    return {
        **means(rows, [f"repeatability@{r}" for r in THRESHOLDS]),
        **{f"HA@{t}": share_within(corner_errors, t) for t in THRESHOLDS},
        **{f"AUC@{t}": recall_auc(corner_errors, t) for t in THRESHOLDS},
        **means(rows, [*(f"MMA@{t}" for t in THRESHOLDS), "keypoints", "matches"]),
    }


def _curve(title: str, y_label: str, method: str, values: list[float]) -> Curve:
    return Curve(title, "threshold [px]", y_label, {method: ([float(t) for t in CURVE_THRESHOLDS], values)})
