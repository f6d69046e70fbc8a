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

from ...geometry.motion import Points, motion_between
from ...geometry.pnp import RANSAC_ITERATIONS, RANSAC_THRESHOLD, Step, estimate_motion, shift_disparities
from ...geometry.trajectory import absolute_error, end_drift, path_length, relative_error, segment_drift, tum_rows
from ...images.sampling import evenly_spaced
from ..datasets.posed import PosedSequence, open_sequence
from ..methods.load import Keypoints, Method
from ..options import DatasetError, Options
from ..pictures import draw_pair
from ..results import Curve, Picture, Row, TaskResult
from .disparity import disparity_offset, stereo_depths


def track(method: Method, sequence: PosedSequence, options: Options) -> Iterator[Step]:
    """The N - 1 steps of a sequence of N frames."""
    previous: tuple[Keypoints, NDArray[np.float64]] | None = None
    focal_baseline = None if sequence.baseline is None else float(sequence.matrix[0, 0]) * sequence.baseline
    for index in tqdm(range(len(sequence)), desc=f"odometry, {method.name}", leave=False):
        frame = sequence[index]
        found = method.extract(frame.image).best(options.top_k)
        if previous is not None:
            before, depths = previous
            rows, next_rows = method.match(before, found, options.ratio, options.double_softmax).T
            known = np.isfinite(depths[rows])
            rows, next_rows, matches = rows[known], next_rows[known], len(rows)
            pixels, next_pixels = before.keypoints[rows], found.keypoints[next_rows]
            pixels, next_pixels = pixels.astype(np.float64), next_pixels.astype(np.float64)
            yield Step(pixels, depths[rows], next_pixels, matches, focal_baseline)
        if frame.right is None or focal_baseline is None:
            depths = frame.depth_at(found.keypoints)
        else:
            right = method.extract(frame.right).best(options.top_k)
            rows = method.match(found, right, options.ratio, options.double_softmax)
            depths = stereo_depths(found.keypoints, right.keypoints, rows, focal_baseline)
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


def evaluate_odometry(methods: Sequence[Method], root: str | Path, options: Options) -> TaskResult:
    """Errors of frame-to-frame odometry over one stereo or RGB-D sequence (see `open_sequence`).

    Few frames make the outcome of RANSAC a matter of luck, so it runs several times with other samples, and columns are
    means over the runs: drift, the distance between the ends in % of the path, and its standard deviation over the
    runs; segment drift, the same over parts of the path (see `segment_drift`); ATE after rigid alignment; RPE from
    frame to frame; failures, the frames without a pose, where the last motion goes on; matches and inliers of a frame.

    Stereo points count by how certain their disparity makes them, see `Step.residuals`. And the rectification of a
    stereo pair is corrected: one clip of KITTI is off by more than a pixel, a fifth of the disparity at 75 m. The
    correction is `options.disparity_offset` or, where that is None, what fits each method's own matches best (see
    `disparity_offset`), which is "own disparity offset [px]". To compare methods, give all the same. "drift as
    calibrated [%]" is the drift without a correction, and details["as_calibrated"] has all columns without it.

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
        steps, name = list(track(method, sequence, options)), method.name
        calibration: Row = {}
        if sequence.baseline is not None:
            as_calibrated = [chain(steps, matrix, truth[0], seed) for seed in range(options.runs)]
            uncorrected = _summary(as_calibrated, steps, truth)
            details.setdefault("as_calibrated", {})[name] = uncorrected
            own = disparity_offset(steps, matrix)
            calibration = {"drift as calibrated [%]": uncorrected["drift [%]"], "own disparity offset [px]": own}
            offset = own if options.disparity_offset is None else options.disparity_offset
            steps = [shift_disparities(step, offset) for step in steps]
        tries = [chain(steps, matrix, truth[0], seed) for seed in range(options.runs)]
        result.overall[name] = _summary(tries, steps, truth) | calibration
        middle = sorted(tries, key=lambda run: end_drift(run.poses, truth))[options.runs // 2].poses
        details["trajectories"][name] = tum_rows(sequence.timestamps, middle)
        drift = segment_drift(middle, truth)
        lines[name] = list(drift.keys()), list(drift.values())
        for index in evenly_spaced(len(steps), options.pictures):
            result.pictures.append(_picture(name, sequence, index, steps[index]))
    result.settings = {
        "data": sequence.name,
        "frames": len(sequence),
        "path (m)": path_length(truth),
        "depth": "RGB-D" if sequence.baseline is None else "stereo",
        "estimator": f"PnP, {RANSAC_ITERATIONS} iterations of RANSAC, {options.runs} runs",
        "threshold (pixels)": RANSAC_THRESHOLD,
        "shorter_edge": sequence.shorter_edge,
    }
    if sequence.baseline is not None:
        given = options.disparity_offset
        result.settings["disparity offset (pixels)"] = "each method's own" if given is None else given
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
        f"{RANSAC_THRESHOLD:g} px under the true motion, far stereo points by the error they are expected to have"
    )
    images = sequence[index].image, sequence[index + 1].image
    return Picture(caption, draw_pair(*images, step.pixels, step.next_pixels, correct))
