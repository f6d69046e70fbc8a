"""A folder of rectified stereo pairs: KITTI's layout, or one like it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .sources import FOLDER_RATE, FolderSource, SourceImage

SIDES = (("image_0", "image_1"), ("left", "right"))  # folders of the two cameras' images
CALIBRATION, POSES = "calib.txt", "poses.txt"


def stereo_folders(folder: Path) -> tuple[Path, Path] | None:
    """The folders of the left and the right images in one, or None."""
    for left, right in SIDES:
        if (folder / left).is_dir() and (folder / right).is_dir():
            return folder / left, folder / right
    return None


class StereoFolderSource:
    """The images of two folders in the order of their names: the left one's, each with its `right`.

    calib.txt beside the folders has their cameras, if it is there: P of the left one in the row P0 and P of the right
    one in P1. poses.txt has the left camera's poses in the world, a row for each image: the upper 3 x 4 of the matrix.

    Raises ValueError, naming the file and the fix, for folders and files that do not fit together.
    """

    rate = FOLDER_RATE

    def __init__(self, left: Path, right: Path) -> None:
        self._sources = FolderSource(left), FolderSource(right)
        counts = [len(source) for source in self._sources]
        if counts[0] != counts[1]:
            raise ValueError(
                f"{counts[0]} images in '{left}' and {counts[1]} in '{right}': each left one needs its right one"
            )
        calibration, poses = left.parent / CALIBRATION, left.parent / POSES
        self._projections = read_projections(calibration) if calibration.exists() else None
        self._poses = read_poses(poses) if poses.exists() else None
        if self._poses is not None and len(self._poses) != counts[0]:
            raise ValueError(f"{len(self._poses)} rows in '{poses}' for {counts[0]} images: give one for each")

    def __iter__(self) -> Iterator[SourceImage]:
        for index, (left, right) in enumerate(zip(*self._sources)):
            if self._projections is not None:
                left, right = (
                    replace(image, camera=_rectified_camera(image, projection))
                    for image, projection in zip((left, right), self._projections)
                )
            yield replace(left, right=right, pose=None if self._poses is None else self._poses[index])


def read_projections(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The projection matrices (3, 4) P0 and P1 of KITTI's calib.txt, whose rows may be labelled or not.

    Raises ValueError, naming the file, if there are no such rows of twelve numbers.
    """
    lines = [line.rpartition(":") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = {label.strip() or f"P{index}": numbers for index, (label, _, numbers) in enumerate(lines)}
    try:
        left, right = (np.array(rows[name].split(), np.float64).reshape(3, 4) for name in ("P0", "P1"))
    except (KeyError, ValueError) as error:
        raise ValueError(f"'{path}' is no KITTI calibration: its rows P0 and P1 need twelve numbers each") from error
    return left, right


def read_poses(path: Path) -> NDArray[np.float64]:
    """Poses (N, 4, 4), camera-to-world, from rows of twelve numbers. Raises ValueError, naming the file, for others."""
    try:
        rows = np.loadtxt(path, ndmin=2).reshape(-1, 3, 4)
    except ValueError as error:
        raise ValueError(f"'{path}' does not hold poses: each row needs twelve numbers, the upper 3x4") from error
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows
    return poses


def _rectified_camera(image: SourceImage, projection: NDArray[np.float64]) -> Camera:
    return Camera(image.width, image.height, projection[:, :3], np.zeros(5), projection=projection)
