"""Relative pose of two frames from their essential matrix (paper, Sec. 4.3 and 4.4).

Pairs are frames some GAPS apart whose rotation is at most MAX_ROTATION, above which the views hardly overlap, and whose
baseline is at least MIN_BASELINE, below which the ground truth does not define the direction of the motion well.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ...geometry.epipolar import epipolar_distance, fundamental_from_poses
from ...geometry.motion import Points, angle_between, motion_between, rotation_angle
from ...images.sampling import evenly_spaced
from ..datasets.posed import PosedSequence, frame_features, open_sequence
from ..methods.base import Method
from ..metrics import recall_auc, share_within
from ..options import DatasetError, Options
from ..results import Picture, Row, TaskResult
from .summary import error_curve, match_picture, means

GAPS = (1, 2, 5, 10, 20, 40)  # frames
MAX_ROTATION = 30.0  # degrees
MIN_BASELINE = 0.1  # metres
RANSAC_THRESHOLD = 0.5  # pixels
RANSAC_ITERATIONS = 10_000
CORRECT_DISTANCE = 3.0  # pixels from the epipolar line, for pictures
AUC_THRESHOLDS = (5, 10, 20)  # degrees
MAA_THRESHOLDS = range(1, 11)  # degrees, as in the Image Matching Challenge
NO_POSE = 180.0  # degrees of error when no pose was found


def choose_pairs(sequence: PosedSequence, max_pairs: int) -> list[tuple[int, int]]:
    """Pairs of frames (earlier, later) by the rule above, equally many of each gap, evenly spaced in time.

    Raises DatasetError if the sequence has none.
    """
    chosen: list[list[tuple[int, int]]] = []
    for gap in (gap for gap in GAPS if gap < len(sequence)):
        motions = motion_between(sequence.poses[:-gap], sequence.poses[gap:])
        usable = (rotation_angle(motions) <= MAX_ROTATION) & (np.linalg.norm(motions[:, :3, 3], axis=1) >= MIN_BASELINE)
        if usable.any():
            chosen.append([(first, first + gap) for first in np.flatnonzero(usable).tolist()])
    if not chosen:
        raise DatasetError(
            f"no frames of '{sequence.name}' {', '.join(map(str, GAPS))} apart move by {MIN_BASELINE} m and turn by "
            f"less than {MAX_ROTATION:g} degrees: give a longer sequence, with poses in metres"
        )
    share = max(1, max_pairs // len(chosen))
    return sorted(pairs[index] for pairs in chosen for index in evenly_spaced(len(pairs), share))


def estimate_relative_pose(
    points0: Points, points1: Points, matrix: Points
) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_]]:
    """Motion (4, 4) from camera 0 to 1, with a translation of unit length, and which matches (N,) agree with it.

    Points (N, 2) are matched pixels, matrix (3, 3) the intrinsics of both. The motion is None if none was found.
    """
    nothing = None, np.zeros(len(points0), bool)
    if len(points0) < 5:
        return nothing
    points0, points1 = np.asarray(points0, np.float64), np.asarray(points1, np.float64)
    cv2.setRNGSeed(0)
    essential, mask = cv2.findEssentialMat(
        points0, points1, matrix, cv2.USAC_MAGSAC, 0.99999, RANSAC_THRESHOLD, RANSAC_ITERATIONS
    )
    if essential is None or essential.shape != (3, 3):
        return nothing
    inliers = mask.ravel().astype(bool)
    _, rotation, translation, _ = cv2.recoverPose(essential, points0, points1, matrix, mask=mask)
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = rotation, translation.ravel()
    return motion, inliers


def pose_error(motion: Points | None, truth: Points) -> tuple[float, float]:
    """Degrees between the rotations, and between the directions of translation, of two motions (4, 4)."""
    if motion is None:
        return NO_POSE, NO_POSE
    turn = motion[:3, :3].T @ truth[:3, :3]
    return float(rotation_angle(turn)), angle_between(motion[:3, 3], truth[:3, 3])


def evaluate_relative_pose(method: Method, root: str | Path, options: Options, max_pairs: int = 100) -> TaskResult:
    """Pose errors of pairs of frames of one posed image folder (see `open_sequence`), grouped by their gap.

    The error of a pair is the larger of the angles between the rotations and between the directions of translation;
    180 degrees without a pose. Columns: AUC@t, the area under the recall curve up to t degrees; mAA, the mean of the
    recall at 1, 2, ... 10 degrees (Image Matching Challenge 2020); medians of the two errors in degrees; the share of
    matches that MAGSAC keeps; and the number of matches. All are over all pairs and runs (`Options.runs`).

    Raises DatasetError for a missing or malformed folder, and for a sequence without usable pairs.
    """
    sequence = open_sequence(root, options.shorter_edge)
    pairs = choose_pairs(sequence, max_pairs)
    pictured = {pairs[index] for index in evenly_spaced(len(pairs), options.pictures)}
    features = frame_features(method, sequence, options)
    rows: list[Row] = []
    pictures: list[Picture] = []
    for first, second in tqdm(pairs, desc=f"relative pose, {method.name}", unit="pair", leave=False):
        a, b = features(first), features(second)
        rows_a, rows_b = method.match(a, b, options.ratio, options.double_softmax).T
        points0, points1 = a.keypoints[rows_a], b.keypoints[rows_b]
        rows += [_judge(sequence, first, second, points0, points1, run) for run in range(options.runs)]
        if (first, second) in pictured:
            pictures.append(_picture(method.name, sequence, rows[-1], points0, points1))
    by_gap = {gap: [row for row in rows if row["second"] - row["first"] == gap] for gap in GAPS}
    return TaskResult(
        task="relative_pose",
        overall={method.name: _summary(rows)},
        groups={f"gap {gap}": {method.name: _summary(of_gap)} for gap, of_gap in by_gap.items() if of_gap},
        settings={
            "data": sequence.name,
            "pairs": len(pairs),
            "max rotation (degrees)": MAX_ROTATION,
            "min baseline (m)": MIN_BASELINE,
            "estimator": f"essential matrix, USAC_MAGSAC, {RANSAC_ITERATIONS} iterations, {options.runs} runs",
            "threshold (pixels)": RANSAC_THRESHOLD,
            "threshold (normalised)": RANSAC_THRESHOLD / float(sequence.matrix[0, 0]),
            "shorter_edge": sequence.shorter_edge,
        },
        details={"pairs": {method.name: rows}},
        curves=[
            error_curve("Pose error", "°", method.name, _pair_errors(rows), np.linspace(0, AUC_THRESHOLDS[-1], 81))
        ],
        pictures=pictures,
    )


def _judge(sequence: PosedSequence, first: int, second: int, points0: Points, points1: Points, run: int) -> Row:
    """Errors of the pose that RANSAC finds from the matches (N, 2) of two frames, in the random order of the run."""
    order = np.random.default_rng(run).permutation(len(points0))
    motion, inliers = estimate_relative_pose(points0[order], points1[order], sequence.matrix)
    rotation_error, translation_error = pose_error(motion, motion_between(*sequence.poses[[first, second]]))
    return {
        "first": first,
        "second": second,
        "run": run,
        "rotation error": rotation_error,
        "translation error": translation_error,
        "inliers": float(inliers.mean()) if len(inliers) else 0.0,
        "matches": len(points0),
    }


def _picture(name: str, sequence: PosedSequence, row: Row, points0: Points, points1: Points) -> Picture:
    pair = [int(row["first"]), int(row["second"])]
    fundamental = fundamental_from_poses(sequence.matrix, *sequence.poses[pair])
    correct = epipolar_distance(fundamental, points0, points1) <= CORRECT_DISTANCE
    rule = (
        f"matches within {CORRECT_DISTANCE:g} px of their true epipolar lines, "
        f"errors {row['rotation error']:.1f}° and {row['translation error']:.1f}°"
    )
    images = [sequence[number].image for number in pair]
    return match_picture(f"{name}, frames {pair[0]} and {pair[1]}", images, (points0, points1), correct, rule)


def _pair_errors(rows: list[Row]) -> list[float]:
    return [max(row["rotation error"], row["translation error"]) for row in rows]


def _summary(rows: list[Row]) -> Row:
    errors = _pair_errors(rows)
    return {
        **{f"AUC@{threshold}": recall_auc(errors, threshold) for threshold in AUC_THRESHOLDS},
        "mAA": float(np.mean([share_within(errors, threshold) for threshold in MAA_THRESHOLDS])),
        "rotation error [°]": float(np.median([row["rotation error"] for row in rows])),
        "translation error [°]": float(np.median([row["translation error"] for row in rows])),
        **means(rows, ["inliers", "matches"]),
    }
