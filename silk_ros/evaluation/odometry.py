"""Frame-to-frame visual odometry on a stereo or RGB-D sequence: no map, no bundle adjustment, no loop closure.

Keypoints of a frame get a depth, from the depth image or by triangulation with the right image; matched into the next
frame, they give its pose by PnP with RANSAC, refined on the inliers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .geometry import Points, motion_between
from .methods import Keypoints, Method
from .options import DatasetError, Options
from .pictures import draw_pair
from .pnp import RANSAC_ITERATIONS, RANSAC_THRESHOLD, Step, estimate_motion
from .results import Curve, Picture, Row, TaskResult
from .sequences import PosedSequence, evenly_spaced, open_sequence
from .stereo import disparity_offset, shift_disparities, stereo_depths
from .trajectory import absolute_error, end_drift, path_length, relative_error, segment_drift, tum_rows

RUNS = 5  # of RANSAC, each with its own samples


def track(method: Method, sequence: PosedSequence, options: Options) -> Iterator[Step]:
    """The N - 1 steps of a sequence of N frames."""
    previous: tuple[Keypoints, NDArray[np.float64]] | None = None
    for index in tqdm(range(len(sequence)), desc=f"odometry, {method.name}", leave=False):
        frame = sequence[index]
        found = method.extract(frame.image).best(options.top_k)
        if previous is not None:
            before, depths = previous
            rows, next_rows = method.match(before, found, options.ratio, options.double_softmax).T
            known = np.isfinite(depths[rows])
            rows, next_rows, matches = rows[known], next_rows[known], len(rows)
            pixels, next_pixels = before.keypoints[rows], found.keypoints[next_rows]
            yield Step(pixels.astype(np.float64), depths[rows], next_pixels.astype(np.float64), matches)
        if frame.right is None or sequence.baseline is None:
            depths = frame.depth_at(found.keypoints)
        else:
            right = method.extract(frame.right).best(options.top_k)
            rows = method.match(found, right, options.ratio, options.double_softmax)
            focal_length = float(sequence.matrix[0, 0])
            depths = stereo_depths(found.keypoints, right.keypoints, rows, focal_length, sequence.baseline)
        previous = found, depths


@dataclass(frozen=True, eq=False)
class Run:
    """A trajectory (N, 4, 4), the number of frames without a pose, and the mean number of inliers of the others."""

    poses: NDArray[np.float64]
    failures: int
    inliers: float


def chain(steps: Sequence[Step], matrix: Points, start: Points, seed: int = 0) -> Run:
    """The trajectory from a pose (4, 4) that the steps give. Where one gives no motion, the last one goes on."""
    poses, motion, failures, inliers = [np.asarray(start, np.float64)], np.eye(4), 0, []
    for step in steps:
        found = estimate_motion(step, matrix, seed)
        if found is None:
            failures += 1
        else:
            motion = found
            inliers.append(np.count_nonzero(step.errors(motion, matrix) <= RANSAC_THRESHOLD))
        poses.append(poses[-1] @ np.linalg.inv(motion))
    return Run(np.array(poses), failures, float(np.mean(inliers)) if inliers else 0.0)


def evaluate_odometry(methods: Sequence[Method], root: str | Path, options: Options, runs: int = RUNS) -> TaskResult:
    """Errors of frame-to-frame odometry over one stereo or RGB-D sequence (see `open_sequence`).

    Few frames make the outcome of RANSAC a matter of luck, so it runs several times with other samples, and columns are
    means over the runs: drift, the distance between the ends in % of the path, and its standard deviation over the
    runs; segment drift, the same over parts of the path (see `segment_drift`); ATE after rigid alignment; RPE from
    frame to frame; failures, the frames without a pose, where the last motion goes on; matches and inliers of a frame.

    The rectification of a stereo pair is corrected by the method's own matches, see `disparity_offset`: one clip of
    KITTI is off by 1.0 to 1.3 px, a fifth of the disparity at 75 m, which for a method whose keypoints are mostly that
    far away outweighs all else. So for stereo the columns above are after a correction fitted for each method;
    "disparity offset [px]" is that correction, "drift as calibrated [%]" is the drift without it, and
    details["as_calibrated"] has all columns without it.

    details["trajectories"] has TUM rows by method, of the run whose drift is the median; details["ground_truth"] too.

    Raises DatasetError for a missing or malformed folder, and for a sequence with neither stereo nor depth.
    """
    sequence = open_sequence(root, options.shorter_edge)
    if not sequence.has_depth and sequence.baseline is None:
        raise DatasetError(f"'{root}' has neither a right camera nor depth: odometry needs one of them")
    matrix, truth = sequence.matrix, sequence.poses
    if path_length(truth) == 0:
        raise DatasetError(f"the poses of '{root}' do not move: there is no drift to measure")
    details: dict[str, Any] = {"trajectories": {}, "ground_truth": tum_rows(sequence.timestamps, truth)}
    result = TaskResult("odometry", overall={}, details=details)
    lines = {}
    for method in methods:
        steps = list(track(method, sequence, options))
        calibration: Row = {}
        if sequence.baseline is not None:
            as_calibrated = [chain(steps, matrix, truth[0], seed) for seed in range(runs)]
            uncorrected = _summary(as_calibrated, steps, truth)
            details.setdefault("as_calibrated", {})[method.name] = uncorrected
            offset = disparity_offset(steps, matrix, sequence.baseline)
            calibration = {"drift as calibrated [%]": uncorrected["drift [%]"], "disparity offset [px]": offset}
            steps = [shift_disparities(step, offset, matrix, sequence.baseline) for step in steps]
        tries = [chain(steps, matrix, truth[0], seed) for seed in range(runs)]
        result.overall[method.name] = _summary(tries, steps, truth) | calibration
        middle = sorted(tries, key=lambda run: end_drift(run.poses, truth))[runs // 2].poses
        details["trajectories"][method.name] = tum_rows(sequence.timestamps, middle)
        drift = segment_drift(middle, truth)
        lines[method.name] = list(drift.keys()), list(drift.values())
        for index in evenly_spaced(len(steps), options.pictures):
            result.pictures.append(_picture(method.name, sequence, index, steps[index]))
    result.settings = {
        "data": sequence.name,
        "frames": len(sequence),
        "path (m)": path_length(truth),
        "depth": "RGB-D" if sequence.baseline is None else "stereo",
        "estimator": f"PnP, {RANSAC_ITERATIONS} iterations of RANSAC, {runs} runs",
        "threshold (pixels)": RANSAC_THRESHOLD,
        "shorter_edge": sequence.shorter_edge,
    }
    if sequence.baseline is not None:
        result.settings["disparity offset"] = "fitted for each method by its matches; as calibrated: without it"
    result.curves = [Curve("Drift over distance", "length of path [m]", "translation error [%]", lines)]
    return result


def _summary(tries: Sequence[Run], steps: Sequence[Step], truth: Points) -> Row:
    rows = []
    for run in tries:
        translation, rotation = relative_error(run.poses, truth)
        rows.append(
            {
                "drift [%]": end_drift(run.poses, truth),
                "segment drift [%]": float(np.mean(list(segment_drift(run.poses, truth).values()))),
                "ATE [m]": absolute_error(run.poses, truth),
                "RPE [m]": translation,
                "RPE [°]": rotation,
                "failures": run.failures,
                "inliers": run.inliers,
            }
        )
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    spread = float(np.std([row["drift [%]"] for row in rows]))
    return mean | {"matches": float(np.mean([step.matches for step in steps])), "drift spread [%]": spread}


def _picture(name: str, sequence: PosedSequence, index: int, step: Step) -> Picture:
    truth = motion_between(sequence.poses[index], sequence.poses[index + 1])
    correct = step.errors(truth, sequence.matrix) <= RANSAC_THRESHOLD
    caption = (
        f"{name}, frames {index} and {index + 1}: {correct.sum()} of {len(correct)} matches with depth within "
        f"{RANSAC_THRESHOLD:g} px under the true motion"
    )
    images = sequence[index].image, sequence[index + 1].image
    return Picture(caption, draw_pair(*images, step.pixels, step.next_pixels, correct))
