"""Pairwise registration of point clouds of an RGB-D sequence (paper, Sec. 4.4.2 and Tab. 6).

The protocol is that of the paper's reference [18] (El Banani et al., CVPR 2021): two frames some way apart are matched,
the most distinctive matches are lifted to 3D by their depths, and weighted Procrustes gives the motion between them.
Here Procrustes runs inside RANSAC, since sparse features have more wrong matches than its random subsets tolerate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from tqdm import tqdm

from ...geometry.motion import Points, back_project, motion_between, rigid_alignment, rotation_angle, transform
from ...images.sampling import evenly_spaced
from ..datasets.posed import PosedFrame, PosedSequence, frame_features, open_sequence
from ..methods.base import Keypoints, Method
from ..metrics import share_within
from ..options import DatasetError, Options
from ..results import Picture, Row, TaskResult
from .summary import error_curve, match_picture, means

GAP = 20  # frames, as in the paper
BEST_MATCHES = 400  # [18] takes 200 from each direction
HYPOTHESES = 1000
INLIER_DISTANCE = 0.05  # metres
REFINEMENTS = 5
CLOUD_STRIDE = 4  # pixels, in both directions
UNITS = {"rotation": "°", "translation": "cm", "Chamfer": "1e-3 m²"}
THRESHOLDS = {"rotation": (5, 10, 45), "translation": (5, 10, 25), "Chamfer": (1, 5, 10)}  # as in the paper
CURVES = {"rotation": np.linspace(0, 10, 101), "translation": np.linspace(0, 25, 101)}  # thresholds


def match_weights(a: Keypoints, b: Keypoints, rows: NDArray[np.int32]) -> NDArray[np.float64]:
    """Distinctiveness (M,) in [0, 1] of matches (M, 2): 1 - distance to the best / distance to the second best in `b`.

    Distances are squared Euclidean, which for unit descriptors is twice the cosine distance, or Hamming.
    """
    if not len(rows) or len(b) < 2:
        return np.ones(len(rows))
    binary = a.descriptors.dtype == np.uint8
    kind, norm = (cv2.CV_32S, cv2.NORM_HAMMING) if binary else (cv2.CV_32F, cv2.NORM_L2SQR)
    distances, _ = cv2.batchDistance(
        np.ascontiguousarray(a.descriptors[rows[:, 0]]), np.ascontiguousarray(b.descriptors), kind, normType=norm, K=2
    )
    best, second = np.asarray(distances, np.float64).T
    return 1 - best / np.maximum(second, 1e-9)


def register(source: Points, target: Points, weights: Points) -> NDArray[np.float64]:
    """Motion (4, 4) that brings points (N, 3) onto their matches: weighted Procrustes in RANSAC.

    The score of a hypothesis, made from three matches, is the sum of the weights (N,) of its matches within
    INLIER_DISTANCE, each scaled by how close it is; the best hypothesis is refined on these matches. Returns the
    identity for fewer than three matches.
    """
    if len(source) < 3:
        return np.eye(4)
    samples = np.random.default_rng(0).integers(len(source), size=(HYPOTHESES, 3))
    motions = rigid_alignment(source[samples], target[samples])
    motion = motions[(_closeness(motions, source, target) @ weights).argmax()]
    for _ in range(REFINEMENTS):
        inliers = weights * (_closeness(motion, source, target) > 0)
        if np.count_nonzero(inliers) < 3:
            break
        motion = rigid_alignment(source, target, inliers)
    return motion


def _closeness(motion: Points, source: Points, target: Points) -> NDArray[np.float64]:
    """1 where moved points (N, 3) meet their matches, 0 beyond INLIER_DISTANCE; (..., N) for motions (..., 4, 4)."""
    squared = ((transform(motion, source) - target) ** 2).sum(axis=-1)
    return np.clip(1 - squared / INLIER_DISTANCE**2, 0, None)


def chamfer_distance(a: Points, b: Points) -> float:
    """Sum over both directions of the mean squared distance from the points of a cloud (N, 3) to the other cloud."""
    return float(sum(np.mean(KDTree(other).query(cloud)[0] ** 2) for cloud, other in ((a, b), (b, a))))


def registration_errors(motion: Points, truth: Points, cloud0: Points, cloud1: Points) -> Row:
    """Angle (degrees), translation (cm) and Chamfer distance (1e-3 square metres) between two motions (4, 4).

    cloud0, cloud1: (N, 3) and (M, 3), each in its camera's frame. The Chamfer distance is between the clouds joined by
    one motion and joined by the other.
    """
    joint = [np.vstack([cloud0, transform(np.linalg.inv(by), cloud1)]) for by in (motion, truth)]
    return {
        "rotation": float(rotation_angle(motion[:3, :3].T @ truth[:3, :3])),
        "translation": float(100 * np.linalg.norm(motion[:3, 3] - truth[:3, 3])),
        "Chamfer": 1000 * chamfer_distance(*joint),
    }


def evaluate_registration(
    method: Method, root: str | Path, options: Options, gap: int = GAP, max_pairs: int = 50
) -> TaskResult:
    """Errors of the motion between frames `gap` apart of one RGB-D sequence (see `open_sequence`).

    Columns: share of pairs within thresholds, mean and median, each for the angle of rotation (degrees), the
    translation (cm) and the Chamfer distance (of squares as in [18], 1e-3 square metres; the paper's table has these
    numbers, its text calls them centimetres); then the number of matches with depth in both frames.

    Raises DatasetError for a missing or malformed folder, for a sequence without depth or with too few frames, and for
    a depth image without any depth.
    """
    sequence = open_sequence(root, options.shorter_edge)
    if sequence.depth_files is None:
        raise DatasetError(f"'{root}' has no depth: registration needs 7-Scenes' frame-N.depth.png or TUM's depth.txt")
    if len(sequence) <= gap:
        raise DatasetError(f"'{root}' has {len(sequence)} frames: registering frames {gap} apart needs more")
    firsts = evenly_spaced(len(sequence) - gap, max_pairs)
    pictured = {firsts[index] for index in evenly_spaced(len(firsts), options.pictures)}
    features = frame_features(method, sequence, options)
    rows: list[Row] = []
    pictures: list[Picture] = []
    for first in tqdm(firsts, desc=f"registration, {method.name}", unit="frame", leave=False):
        found = features(first), features(first + gap)
        matches = method.match(*found, options.ratio, options.double_softmax)
        pair = _lift(sequence, (first, first + gap), found, matches)
        rows.append(_judge(pair, sequence))
        if first in pictured:
            pictures.append(_picture(method.name, pair, rows[-1]))
    return TaskResult(
        task="registration",
        overall={method.name: _summary(rows)},
        settings={
            "data": sequence.name,
            "gap (frames)": gap,
            "pairs": len(firsts),
            "best matches": BEST_MATCHES,
            "estimator": f"weighted Procrustes in RANSAC, {HYPOTHESES} hypotheses",
            "inlier distance (m)": INLIER_DISTANCE,
            "shorter_edge": sequence.shorter_edge,
        },
        details={"pairs": {method.name: rows}},
        curves=[
            error_curve(f"{name.capitalize()} error", UNITS[name], method.name, [row[name] for row in rows], thresholds)
            for name, thresholds in CURVES.items()
        ],
        pictures=pictures,
    )


@dataclass(frozen=True, eq=False)
class _LiftedPair:
    """Two frames and their BEST_MATCHES most distinctive matches (M) that have a depth in both.

    numbers: of the frames. truth: motion (4, 4) from the first camera's frame to the second's. pixels, points: (M, 2)
    and (M, 3) in each frame. weights: (M,). matches: number of all matches with a depth in both frames.
    """

    numbers: tuple[int, int]
    frames: tuple[PosedFrame, PosedFrame]
    truth: NDArray[np.float64]
    pixels: tuple[NDArray[np.float32], NDArray[np.float32]]
    points: tuple[NDArray[np.float64], NDArray[np.float64]]
    weights: NDArray[np.float64]
    matches: int


def _lift(
    sequence: PosedSequence, numbers: tuple[int, int], found: tuple[Keypoints, Keypoints], matches: NDArray[np.int32]
) -> _LiftedPair:
    """Lift the matches (M, 2) of two frames to 3D, and keep the best of those with a depth in both."""
    frames = sequence[numbers[0]], sequence[numbers[1]]
    pixels = [keypoints.keypoints[rows] for keypoints, rows in zip(found, matches.T)]
    source, target = (back_project(sequence.matrix, at, frame.depth_at(at)) for frame, at in zip(frames, pixels))
    known = np.isfinite(source[:, 2] + target[:, 2])
    weights = np.where(known, match_weights(*found, matches), -1)
    best = np.argsort(-weights, kind="stable")[: min(BEST_MATCHES, known.sum())]
    return _LiftedPair(
        numbers,
        frames,
        motion_between(*sequence.poses[list(numbers)]),
        (pixels[0][best], pixels[1][best]),
        (source[best], target[best]),
        weights[best],
        int(known.sum()),
    )


def _judge(pair: _LiftedPair, sequence: PosedSequence) -> Row:
    motion = register(*pair.points, pair.weights)
    clouds = (_cloud(sequence, number, frame) for number, frame in zip(pair.numbers, pair.frames))
    errors = registration_errors(motion, pair.truth, *clouds)
    return {"first": pair.numbers[0], "second": pair.numbers[1], **errors, "matches": pair.matches}


def _picture(name: str, pair: _LiftedPair, errors: Row) -> Picture:
    views = f"{name}, frames {pair.numbers[0]} and {pair.numbers[1]}"
    rule = (
        f"best matches within {100 * INLIER_DISTANCE:g} cm under the true motion, "
        f"errors {errors['rotation']:.1f}° and {errors['translation']:.1f} cm"
    )
    correct = _closeness(pair.truth, *pair.points) > 0
    return match_picture(views, [frame.image for frame in pair.frames], pair.pixels, correct, rule)


def _cloud(sequence: PosedSequence, index: int, frame: PosedFrame) -> NDArray[np.float64]:
    """Points (N, 3) of every CLOUD_STRIDE-th pixel that has a depth. Raises DatasetError if there is none."""
    row, column = np.indices(frame.image.shape)[:, ::CLOUD_STRIDE, ::CLOUD_STRIDE].reshape(2, -1)
    pixels = np.column_stack([column, row]).astype(np.float64)
    points = back_project(sequence.matrix, pixels, frame.depth_at(pixels))
    points = points[np.isfinite(points[:, 2])]
    if not len(points) and sequence.depth_files:
        raise DatasetError(f"no depth in '{sequence.depth_files[index]}': replace it, or leave out its frame")
    return points


def _summary(rows: list[Row]) -> Row:
    summary: Row = {}
    for name, thresholds in THRESHOLDS.items():
        errors = [row[name] for row in rows]
        summary |= {f"{name} accuracy@{threshold}": share_within(errors, threshold) for threshold in thresholds}
        error = f"{name} error [{UNITS[name]}]"
        summary |= {f"{error}@mean": float(np.mean(errors)), f"{error}@median": float(np.median(errors))}
    return summary | means(rows, ["matches"])
