"""Frame-to-frame visual odometry on a stereo or RGB-D sequence: no map, no bundle adjustment, no loop closure.

Keypoints of a frame get a depth, from the depth image or by triangulation with the right image; matched into the next
frame, they give its pose by PnP with RANSAC, refined on the inliers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ...geometry.motion import Points, motion_between
from ...geometry.pnp import RANSAC_ITERATIONS, RANSAC_THRESHOLD, DepthMatches, estimate_motion, shift_disparities
from ...geometry.trajectory import absolute_error, end_drift, path_length, relative_error, segment_drift, tum_rows
from ...images.sampling import evenly_spaced
from ..datasets.posed import PosedFrame, PosedSequence, open_sequence
from ..methods.base import Keypoints, Method
from ..options import DatasetError, Options
from ..results import Curve, Picture, Row, TaskResult
from .disparity import disparity_offset, stereo_depths
from .summary import match_picture, means


def evaluate_odometry(method: Method, root: str | Path, options: Options) -> TaskResult:
    """Errors of frame-to-frame odometry over one stereo or RGB-D sequence (see `open_sequence`).

    RANSAC's random samples matter on a short sequence: columns are means over `options.runs` runs. They are drift, the
    distance between the ends in % of the path, and its standard deviation over the runs; segment drift, the same over
    parts of the path (see `segment_drift`); ATE after rigid alignment; RPE from frame to frame; failures, the frames
    without a pose, which keep the last motion; matches and inliers of a frame.

    Stereo points are weighted by the uncertainty of their disparity (see `DepthMatches`), and the rectification of a
    stereo pair is corrected: in one clip of KITTI it is off by more than a pixel, a fifth of the disparity at 75 m. The
    correction is `options.disparity_offset` or, where that is None, the offset that fits the method's own matches best
    (see `disparity_offset`), which is "own disparity offset [px]". To compare methods, give all the same offset. "drift
    as calibrated [%]" is the drift without a correction; details["as_calibrated"] has all columns without it.

    details["trajectories"] has TUM rows by method, of the run with the median drift; details["ground_truth"] the true
    ones.

    Raises DatasetError for a missing or malformed folder, for a sequence with neither stereo nor depth, and for poses
    that do not move.
    """
    sequence = open_sequence(root, options.shorter_edge)
    if sequence.depth_files is None and sequence.baseline is None:
        raise DatasetError(f"'{root}' has neither a right camera nor depth: odometry needs one of them")
    if path_length(sequence.poses) == 0:
        raise DatasetError(f"the poses of '{root}' do not move: there is no drift to measure")
    steps = list(track(method, sequence, options))
    calibration: Row = {}
    details: dict[str, Any] = {"ground_truth": tum_rows(sequence.timestamps, sequence.poses)}
    if sequence.baseline is not None:
        uncorrected, _ = _judge(steps, sequence, options.runs)
        own = disparity_offset(steps, sequence.matrix)
        offset = own if options.disparity_offset is None else options.disparity_offset
        steps = [shift_disparities(step, offset) for step in steps]
        calibration = {"drift as calibrated [%]": uncorrected["drift [%]"], "own disparity offset [px]": own}
        details["as_calibrated"] = {method.name: uncorrected}
    row, poses = _judge(steps, sequence, options.runs)
    details["trajectories"] = {method.name: tum_rows(sequence.timestamps, poses)}
    drift = segment_drift(poses, sequence.poses)
    line = {method.name: (list(drift.keys()), list(drift.values()))}
    pictured = evenly_spaced(len(steps), options.pictures)
    return TaskResult(
        task="odometry",
        overall={method.name: row | calibration},
        settings=_settings(sequence, options),
        details=details,
        curves=[Curve("Drift over distance", "length of path [m]", "translation error [%]", line)],
        pictures=[_picture(method.name, sequence, index, steps[index]) for index in pictured],
    )


def track(method: Method, sequence: PosedSequence, options: Options) -> Iterator[DepthMatches]:
    """The N - 1 steps of a sequence of N frames."""
    focal_baseline = None if sequence.baseline is None else float(sequence.matrix[0, 0]) * sequence.baseline
    previous: tuple[Keypoints, NDArray[np.float64]] | None = None
    for index in tqdm(range(len(sequence)), desc=f"odometry, {method.name}", unit="frame", leave=False):
        frame = sequence[index]
        found = method.extract(frame.image).best(options.top_k)
        if previous is not None:
            before, depths = previous
            rows, next_rows = method.match(before, found, options.ratio, options.double_softmax).T
            known = np.isfinite(depths[rows])
            pixels = before.keypoints[rows[known]].astype(np.float64)
            next_pixels = found.keypoints[next_rows[known]].astype(np.float64)
            yield DepthMatches(pixels, depths[rows[known]], next_pixels, len(rows), focal_baseline)
        previous = found, _depths(method, frame, found, focal_baseline, options)


def _depths(
    method: Method, frame: PosedFrame, found: Keypoints, focal_baseline: float | None, options: Options
) -> NDArray[np.float64]:
    """Depths (N,) in metres of the keypoints of a frame, NaN where unknown."""
    if frame.right is None or focal_baseline is None:
        return frame.depth_at(found.keypoints)
    right = method.extract(frame.right).best(options.top_k)
    rows = method.match(found, right, options.ratio, options.double_softmax)
    return stereo_depths(found.keypoints, right.keypoints, rows, focal_baseline)


def chain(
    steps: Sequence[DepthMatches], matrix: Points, start: Points, seed: int = 0
) -> tuple[NDArray[np.float64], list[int]]:
    """The trajectory (N, 4, 4) of the steps from a pose (4, 4), and the numbers of inliers of the steps with a motion.

    A step without a motion repeats the last one.
    """
    poses, motion, inliers = [np.asarray(start, np.float64)], np.eye(4), []
    for step in steps:
        found = estimate_motion(step, matrix, seed)
        if found is not None:
            motion = found
            inliers.append(int(np.count_nonzero(step.errors(motion, matrix) <= RANSAC_THRESHOLD)))
        poses.append(poses[-1] @ np.linalg.inv(motion))
    return np.array(poses), inliers


def _judge(steps: list[DepthMatches], sequence: PosedSequence, runs: int) -> tuple[Row, NDArray[np.float64]]:
    """The metrics over all runs, and the trajectory (N, 4, 4) of the run with the median drift."""
    truth, trajectories, rows = sequence.poses, [], []
    for seed in range(runs):
        poses, inliers = chain(steps, sequence.matrix, truth[0], seed)
        translation, rotation = relative_error(poses, truth)
        trajectories.append(poses)
        rows.append(
            {
                "drift [%]": end_drift(poses, truth),
                "segment drift [%]": float(np.mean(list(segment_drift(poses, truth).values()))),
                "ATE [m]": absolute_error(poses, truth),
                "RPE [m]": translation,
                "RPE [°]": rotation,
                "failures": len(steps) - len(inliers),
                "inliers": float(np.mean(inliers)) if inliers else 0.0,
            }
        )
    drifts = [row["drift [%]"] for row in rows]
    matches = float(np.mean([step.matches for step in steps]))
    summary = means(rows, rows[0]) | {"matches": matches, "drift spread [%]": float(np.std(drifts))}
    return summary, trajectories[np.argsort(drifts, kind="stable")[runs // 2]]


def _settings(sequence: PosedSequence, options: Options) -> dict[str, Any]:
    settings = {
        "data": sequence.name,
        "frames": len(sequence),
        "path (m)": path_length(sequence.poses),
        "depth": "RGB-D" if sequence.baseline is None else "stereo",
        "estimator": f"PnP, {RANSAC_ITERATIONS} iterations of RANSAC, {options.runs} runs",
        "threshold (pixels)": RANSAC_THRESHOLD,
        "shorter_edge": sequence.shorter_edge,
    }
    if sequence.baseline is not None:
        given = options.disparity_offset
        settings["disparity offset (pixels)"] = "each method's own" if given is None else given
    return settings


def _picture(name: str, sequence: PosedSequence, index: int, step: DepthMatches) -> Picture:
    pair = [index, index + 1]
    correct = step.errors(motion_between(*sequence.poses[pair]), sequence.matrix) <= RANSAC_THRESHOLD
    rule = (
        f"matches with depth within {RANSAC_THRESHOLD:g} px under the true motion; "
        "the errors of stereo points are scaled by their uncertainty"
    )
    images, points = [sequence[number].image for number in pair], (step.pixels, step.next_pixels)
    return match_picture(f"{name}, frames {index} and {index + 1}", images, points, correct, rule)
