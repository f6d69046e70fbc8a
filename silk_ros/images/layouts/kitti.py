"""KITTI odometry: image_0 to image_3, calib.txt, times.txt and poses.txt; and pairs of folders with these files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..source import FIRST_STAMP
from ..text_files import TextRow, read_rows, read_text
from .base import FolderLayout, FrameFiles, Matrix, first_size, projected_camera
from .pairing import NamedFrames, frames_by_name, row_notes

CALIBRATION, POSES, TIMES = "calib.txt", "poses.txt", "times.txt"
CAMERAS = ("image_0", "image_1", "image_2", "image_3")
CHOICES: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3), (0,), (2,), (1,), (3,))  # the grey pair first


def read_kitti(folder: Path) -> FolderLayout | None:
    """A sequence, or one of its cameras where `folder` is that; None for another folder.

    A pair is taken if there is one, and grey images rather than colour. Images need none of the text files.
    Raises OSError, and ValueError, naming the file and the fix, for files that do not fit together.
    """
    root, choices = folder, CHOICES
    if folder.name in CAMERAS and any((folder.parent / name).exists() for name in (CALIBRATION, POSES, TIMES)):
        root, choices = folder.parent, ((CAMERAS.index(folder.name),),)
    for numbers in choices:
        names = [CAMERAS[number] for number in numbers]
        if all((root / name).is_dir() for name in names):
            frames = frames_by_name(*(root / name for name in names))
            kind = f"KITTI odometry ({', '.join(names)})"
            return with_kitti_files(root, kind, frames, numbers)
    return None


def with_kitti_files(root: Path, kind: str, named: NamedFrames, cameras: tuple[int, ...]) -> FolderLayout:
    """The layout of images with the calib.txt, times.txt and poses.txt in a folder, as far as they exist.

    cameras: number of the row of each camera in calib.txt. The poses are those of the camera of the row P0.
    """
    poses_file = next((path for path in (root / POSES, _published_poses(root)) if path.exists()), None)
    poses, stamps = None, None
    notes: list[str] = []
    if poses_file is not None:
        poses = read_poses(poses_file)
        rows = named.rows(len(poses), poses_file)
        poses = poses[rows]
        notes += row_notes(named, rows, poses_file)
    if (times := root / TIMES).exists():
        recorded = [FIRST_STAMP + row.nanoseconds(0) for row in read_rows(times)]
        rows = named.rows(len(recorded), times)
        stamps = [recorded[row] for row in rows]
        notes += row_notes(named, rows, times)
    projections, size = None, first_size(frame.image for frame in named.frames)
    if (root / CALIBRATION).exists():
        projections = read_projections(root / CALIBRATION, cameras)
        if len(cameras) == 2 and projections[1][0, 3] >= projections[0][0, 3]:
            left, right = (f"P{camera}" for camera in cameras)
            raise ValueError(f"row {right} of '{root / CALIBRATION}' is not a camera to the right of {left}: swap them")
        if poses is not None:
            poses = poses @ _camera_in_first(projections[0])
    frames = [
        FrameFiles(
            frame.moment,
            frame.image,
            frame.right,
            None if stamps is None else stamps[at],
            None if poses is None else poses[at],
        )
        for at, frame in enumerate(named.frames)
    ]
    calibrations = [] if projections is None or size is None else projected_from_left(projections)
    known = [projected_camera(size, projection) for projection in calibrations if size is not None]
    return FolderLayout(root, kind, frames, known, named.lost, notes)


def projected_from_left(projections: list[Matrix]) -> list[Matrix]:
    """Projection matrices (3, 4) of a camera, or a pair, that start at the left camera instead of KITTI's camera 0."""
    moved = []
    for projection in projections:
        offset = np.array([projection[0, 3] - projections[0][0, 3], 0, 0])
        moved.append(np.column_stack([projection[:, :3], offset]))
    return moved


def read_labelled(path: Path) -> dict[str, TextRow]:
    """The rows of a calibration of KITTI by their labels, those without one by their number: P0, P1 and so on.

    Raises OSError and ValueError as `read_text` does.
    """
    lines = [(number, line.rpartition(":")) for number, line in enumerate(read_text(path).splitlines(), 1) if line]
    lines = [(number, parts) for number, parts in lines if parts[2].strip()]
    return {
        label.strip() or f"P{at}": TextRow(path, number, numbers.split())
        for at, (number, (label, _, numbers)) in enumerate(lines)
    }


def read_projections(path: Path, cameras: tuple[int, ...]) -> list[Matrix]:
    """The projection matrices (3, 4) of cameras in a calib.txt, whose rows may be labelled or not.

    Raises OSError, and ValueError, naming the file, for a row that is missing or is no projection of twelve numbers.
    """
    rows = read_labelled(path)
    projections = []
    for name in (f"P{camera}" for camera in cameras):
        wanted = f"'{path}' is no KITTI calibration: its row {name} needs twelve numbers"
        if name not in rows:
            raise ValueError(wanted)
        try:
            projection = np.reshape(rows[name].numbers(12), (3, 4))
        except ValueError as error:
            raise ValueError(f"{wanted} ({error})") from error
        if not np.isfinite(projection).all() or min(projection[0, 0], projection[1, 1]) <= 0:
            raise ValueError(f"row {name} of '{path}' has no focal length: it needs the twelve numbers of a projection")
        projections.append(projection)
    return projections


def read_poses(path: Path) -> Matrix:
    """Poses (N, 4, 4), camera-to-world, of a file with the upper 3x4 of a matrix in each row.

    Raises OSError, and ValueError, naming the file, for one that does not hold poses.
    """
    try:
        rows = [row.numbers(12) for row in read_rows(path)]
    except ValueError as error:
        raise ValueError(f"'{path}' does not hold poses ({error}): each takes 12 numbers") from error
    poses: Matrix = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = np.reshape(rows, (-1, 3, 4))
    if not len(poses) or not are_rigid(poses).all():
        raise ValueError(f"'{path}' does not hold poses: each is a rotation and a position in metres")
    return poses


def are_rigid(poses: Matrix) -> np.ndarray:
    """Which matrices (N, 4, 4) are (N,) a rotation and a position."""
    rotations = poses[:, :3, :3]
    unit = np.isclose(rotations @ rotations.swapaxes(1, 2), np.eye(3), atol=1e-2).all(axis=(1, 2))
    return unit & np.isfinite(poses).all(axis=(1, 2)) & (poses[:, 3] == [0, 0, 0, 1]).all(axis=1)


def _published_poses(root: Path) -> Path:
    """Where the published data set keeps the poses: dataset/poses/00.txt for dataset/sequences/00."""
    sequence = root.resolve()
    return sequence.parent.parent / "poses" / f"{sequence.name}.txt"


def _camera_in_first(projection: Matrix) -> Matrix:
    """The pose (4, 4) of a camera in the axes of camera 0, from which its projection matrix (3, 4) projects."""
    pose = np.eye(4)
    pose[:3, 3] = -np.linalg.solve(projection[:, :3], projection[:, 3])
    return pose
