"""The files of KITTI odometry: the folders of a stereo pair, calib.txt and poses.txt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

CALIBRATION, POSES = "calib.txt", "poses.txt"
SIDES = (("image_0", "image_1"), ("left", "right"))  # names of the folders of the two cameras


def stereo_folders(folder: Path) -> tuple[Path, Path] | None:
    """The folders of the left and the right images inside a folder, or None if it does not hold both."""
    for left, right in SIDES:
        if (folder / left).is_dir() and (folder / right).is_dir():
            return folder / left, folder / right
    return None


def read_projections(path: Path, count: int) -> list[Matrix]:
    """The projection matrices (3, 4) of the first `count` cameras of a calib.txt, whose rows may be labelled or not.

    Raises OSError, and ValueError, naming the file, for a row that is missing or is no projection of twelve numbers.
    """
    lines = [line.rpartition(":") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = {label.strip() or f"P{index}": numbers for index, (label, _, numbers) in enumerate(lines)}
    projections = []
    for name in (f"P{index}" for index in range(count)):
        try:
            projection = np.array(rows[name].split(), np.float64).reshape(3, 4)
        except (KeyError, ValueError) as error:
            raise ValueError(f"'{path}' is no KITTI calibration: its row {name} needs twelve numbers") from error
        if not np.isfinite(projection).all() or min(projection[0, 0], projection[1, 1]) <= 0:
            raise ValueError(f"row {name} of '{path}' has no focal length: it needs the twelve numbers of a projection")
        projections.append(projection)
    return projections


def read_poses(path: Path, rows: int = 3) -> Matrix:
    """Poses (N, 4, 4), camera-to-world, of a file with the upper 3x4 of each matrix; with `rows` 4, the whole matrix.

    Raises OSError, and ValueError, naming the file, for one that does not hold poses.
    """
    try:
        matrices = np.loadtxt(path, ndmin=2).reshape(-1, rows, 4)
    except ValueError as error:
        raise ValueError(f"'{path}' does not hold poses ({error}): each takes {4 * rows} numbers") from error
    poses: Matrix = np.tile(np.eye(4), (len(matrices), 1, 1))
    poses[:, :rows] = matrices
    rotations = poses[:, :3, :3]
    rigid = np.isfinite(poses).all() and np.allclose(rotations @ rotations.swapaxes(1, 2), np.eye(3), atol=1e-2)
    if not len(poses) or not rigid or (poses[:, 3] != [0, 0, 0, 1]).any():
        raise ValueError(f"'{path}' does not hold poses: each is a rotation and a position in metres")
    return poses
