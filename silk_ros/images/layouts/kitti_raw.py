"""KITTI raw data: DATE_drive_NNNN_sync/image_00 to image_03, and calib_cam_to_cam.txt in the folder of the date."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ...geometry.camera import Camera
from ..text_files import TextRow, read_rows
from .base import FolderLayout, FrameFiles, Matrix, first_size, projected_camera
from .kitti import CHOICES, projected_from_left, read_labelled
from .pairing import frames_by_name, row_notes

CALIBRATION, TIMESTAMPS = "calib_cam_to_cam.txt", "timestamps.txt"
CAMERAS = ("image_00", "image_01", "image_02", "image_03")
Rows = dict[str, TextRow]


def read_kitti_raw(folder: Path) -> FolderLayout | None:
    """A drive, or one of its cameras where `folder` is that or its `data`; None for another folder.

    A pair is taken if there is one, and grey images rather than colour. The size of the images tells whether they are
    the rectified ones of a drive that ends in _sync or the distorted ones of _extract.
    Raises OSError, and ValueError, naming the file and the fix, for files that do not fit together.
    """
    root, choices = folder, list(CHOICES)
    if folder.name == "data" and folder.parent.name in CAMERAS:
        folder = folder.parent
    if folder.name in CAMERAS and (folder / "data").is_dir():
        root, choices = folder.parent, [(CAMERAS.index(folder.name),)]
    for numbers in choices:
        names = [CAMERAS[number] for number in numbers]
        if all((root / name / "data").is_dir() for name in names):
            return _read_drive(root, names)
    return None


def _read_drive(root: Path, names: list[str]) -> FolderLayout:
    named = frames_by_name(*(root / name / "data" for name in names))
    stamps, notes = None, []
    if (times := root / names[0] / TIMESTAMPS).exists():
        recorded = [_stamp(row) for row in read_rows(times)]
        rows = named.rows(len(recorded), times)
        stamps = [recorded[row] for row in rows]
        notes = row_notes(named, rows, times)
    frames = [
        FrameFiles(frame.moment, frame.image, frame.right, None if stamps is None else stamps[at])
        for at, frame in enumerate(named.frames)
    ]
    cameras, more = _cameras(root, [name[-2:] for name in names], first_size(frame.image for frame in frames))
    return FolderLayout(root, f"KITTI raw ({', '.join(names)})", frames, cameras, named.lost, [*notes, *more])


def _cameras(root: Path, numbers: list[str], size: tuple[int, int] | None) -> tuple[list[Camera], list[str]]:
    """The calibrations of cameras ("00" to "03") whose images have a size (width, height), and what to say of them."""
    files = root / CALIBRATION, root.resolve().parent / CALIBRATION
    path = next((path for path in files if path.exists()), None)
    if path is None or size is None:
        return [], [f"'{files[1]}' is missing"] if path is None else []
    rows = read_labelled(path)
    cameras = []
    for number, projection in zip(
        numbers, projected_from_left([_matrix(path, rows, f"P_rect_{number}", 3, 4) for number in numbers])
    ):
        rectified, distorted = (_matrix(path, rows, f"{name}_{number}", 1, 2)[0].tolist() for name in ("S_rect", "S"))
        if [*size] == rectified:
            cameras.append(projected_camera(size, projection))
        elif [*size] == distorted:
            matrix, distortion, rotation = (
                _matrix(path, rows, f"{name}_{number}", *shape)
                for name, shape in (("K", (3, 3)), ("D", (1, 5)), ("R_rect", (3, 3)))
            )
            cameras.append(Camera(*size, matrix, distortion, "plumb_bob", rotation, projection))
        else:
            sizes = " or ".join(f"{width:g}x{height:g}" for width, height in (rectified, distorted))
            return [], [f"the images have {size[0]}x{size[1]} pixels, '{path}' is for {sizes}"]
    return cameras, []


def _matrix(path: Path, rows: Rows, name: str, height: int, width: int) -> Matrix:
    if name not in rows:
        raise ValueError(f"'{path}' has no row {name}: copy the file of the drive's date")
    return np.reshape(rows[name].numbers(height * width), (height, width))


def _stamp(row: TextRow) -> int:
    """Nanoseconds of a time such as 2011-09-26 13:02:25.594360375, taken as UTC."""
    moment = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))?", " ".join(row.fields))
    if moment is None:
        raise row.error("is no time such as 2011-09-26 13:02:25.594360375: copy the file again")
    try:
        start = datetime.strptime(moment[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise row.error(f"is no time ({error}): copy the file again") from error
    return int(start.timestamp()) * 10**9 + int(f"{moment[2] or '':0<9}")
