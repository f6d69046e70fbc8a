"""Trajectories: files in the format of TUM, and errors of an estimated trajectory.

A trajectory is poses (N, 4, 4), camera-to-world, metres; an estimate and its truth have the same N moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .motion import Points, motion_between, rigid_alignment, rotation_angle, transform

TumRow = list[float]  # [timestamp, tx, ty, tz, qx, qy, qz, qw]


def tum_rows(timestamps: Points, poses: Points) -> list[TumRow]:
    """Rows of a TUM file for timestamps (N,) in seconds and poses (N, 4, 4)."""
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    return np.column_stack([timestamps, poses[:, :3, 3], quaternions]).tolist()


def write_tum(path: str | Path, rows: Sequence[Sequence[float]]) -> None:
    """Write rows [timestamp, tx, ty, tz, qx, qy, qz, qw] to a file."""
    lines = ["# timestamp tx ty tz qx qy qz qw\n", *map(tum_line, rows)]
    Path(path).write_text("".join(lines), encoding="utf-8")


def tum_line(row: Sequence[float]) -> str:
    """The line of a file for one row."""
    return " ".join([f"{row[0]:.6f}", *(f"{value:.9f}" for value in row[1:])]) + "\n"


def read_tum(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Timestamps (N,) and poses (N, 4, 4) of a TUM file. Raises ValueError, naming it, if it is not one."""
    try:
        rows = np.loadtxt(path, ndmin=2).reshape(-1, 8)
        poses = np.tile(np.eye(4), (len(rows), 1, 1))
        poses[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()
    except ValueError as error:
        raise ValueError(
            f"'{path}' is not a TUM trajectory ({error}): expected rows of timestamp tx ty tz qx qy qz qw"
        ) from error
    poses[:, :3, 3] = rows[:, 1:4]
    return rows[:, 0], poses


def path_length(poses: Points) -> float:
    """The length of a trajectory in metres."""
    return float(_distances(poses)[-1])


def start_at(estimate: Points, truth: Points, free_scale: bool = False) -> NDArray[np.float64]:
    """An estimate (N, 4, 4) moved so that its first pose is that of the truth (N, 4, 4).

    free_scale: also give the estimate the scale that brings its positions closest to the truth, by least squares.
    """
    relative, true_relative = (np.linalg.inv(poses[0]) @ poses for poses in (estimate, truth))
    if free_scale:
        moved, truly = relative[:, :3, 3], true_relative[:, :3, 3]
        relative[:, :3, 3] *= max((moved * truly).sum(), 0.0) / (moved * moved).sum()
    return truth[0] @ relative


def absolute_error(estimate: Points, truth: Points) -> float:
    """ATE: root mean square distance in metres after the best rigid alignment (SE(3), no scale)."""
    moved = transform(rigid_alignment(estimate[:, :3, 3], truth[:, :3, 3]), estimate[:, :3, 3])
    return _rms(np.linalg.norm(moved - truth[:, :3, 3], axis=1))


def relative_error(estimate: Points, truth: Points) -> tuple[float, float]:
    """RPE from frame to frame: root mean squares of the translation (metres) and the rotation (degrees)."""
    steps, true_steps = (motion_between(poses[1:], poses[:-1]) for poses in (estimate, truth))
    error = np.linalg.inv(true_steps) @ steps
    return _rms(np.linalg.norm(error[:, :3, 3], axis=1)), _rms(rotation_angle(error))


def end_drift(estimate: Points, truth: Points) -> float:
    """Distance between the ends of two trajectories that start at the same pose, in % of the true path."""
    return 100 * float(np.linalg.norm(estimate[-1, :3, 3] - truth[-1, :3, 3])) / path_length(truth)


def segment_drift(estimate: Points, truth: Points) -> dict[float, float]:
    """Translation error in % of the distance, over all segments of each length in metres, as KITTI defines it.

    Lengths are those of 100, 200, ... 800 m that fit into the path; a shorter path takes a tenth of these, and so on.
    """
    distances = _distances(truth)
    unit = min(100.0, 10.0 ** np.floor(np.log10(distances[-1])))
    drift = {}
    for length in (unit * np.arange(1, 9)).tolist():
        last = np.searchsorted(distances, distances + length)
        first = np.flatnonzero(last < len(distances))
        if len(first):
            moved, truly = (motion_between(poses[last[first]], poses[first]) for poses in (estimate, truth))
            error = np.linalg.inv(truly) @ moved
            drift[length] = 100 * float(np.linalg.norm(error[:, :3, 3], axis=1).mean()) / length
    return drift


def _distances(poses: Points) -> NDArray[np.float64]:
    """Metres (N,) along the path up to each pose."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _rms(values: Points) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
