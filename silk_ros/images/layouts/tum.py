"""TUM RGB-D: rgb.txt with rgb/, depth.txt with depth/, and groundtruth.txt."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...geometry.camera import Camera
from ..image_files import image_files
from ..source import Lost
from ..text_files import TextRow, read_rows
from ..timed_poses import TimedPoses
from .base import FolderLayout, FrameFiles, first_size
from .pairing import nearest

INDEX, DEPTH_INDEX, TRUTH = "rgb.txt", "depth.txt", "groundtruth.txt"
DEPTH_UNITS = 5000.0  # per metre
DEPTH_WITHIN = 20_000_000  # nanoseconds between a colour and a depth image of one moment
SIZE = (640, 480)
# fx, fy, cx, cy, k1, k2, p1, p2, k3 of the colour cameras as they were published with the data set.
INTRINSICS = {
    "1": (517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "2": (520.9, 521.0, 325.1, 249.7, 0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    "3": (535.4, 539.2, 320.1, 247.6, 0.0, 0.0, 0.0, 0.0, 0.0),
}


def read_tum(folder: Path) -> FolderLayout | None:
    """A sequence, also where `folder` is its rgb/; None for another folder.

    Raises OSError, and ValueError, naming the file and the fix, for files with other contents.
    """
    root = folder.parent if folder.name == "rgb" else folder
    if not ((root / INDEX).is_file() and (root / "rgb").is_dir()):
        return None
    rows = [(row.nanoseconds(0), _listed(root, row)) for row in read_rows(root / INDEX)]
    rows.sort(key=lambda row: row[0])
    truth = _read_truth(root / TRUTH) if (root / TRUTH).exists() else None
    depths = _read_depths(root, [stamp for stamp, _ in rows])
    frames, lost = [], []
    for index, (stamp, image) in enumerate(rows):
        if image.exists():
            pose = None if truth is None else truth.at(stamp)
            frames.append(FrameFiles(index, image, stamp=stamp, pose=pose, depth=depths[index]))
        else:
            lost.append(Lost(f"rgb/{image.name}", f"the file that '{INDEX}' names does not exist: copy it again"))
    named = {image for _, image in rows}
    unnamed = [path for path in image_files(root / "rgb") if path not in named]
    lost += [Lost(f"rgb/{path.name}", f"'{INDEX}' does not name it, so that it has no time") for path in unnamed]
    cameras, notes = _published_camera(root, frames)
    return FolderLayout(root, "TUM RGB-D (rgb)", frames, cameras, lost, notes, DEPTH_UNITS)


def _listed(root: Path, row: TextRow) -> Path:
    """The file that a row of rgb.txt or depth.txt names."""
    if len(row.fields) < 2:
        raise row.error("names no file: it needs a time and a file")
    return root / row.fields[1]


def _read_depths(root: Path, stamps: list[int]) -> list[Path | None]:
    """The depth image that belongs to each stamp."""
    if not (root / DEPTH_INDEX).exists():
        return [None] * len(stamps)
    rows = [(row.nanoseconds(0), _listed(root, row)) for row in read_rows(root / DEPTH_INDEX)]
    places = nearest(stamps, [stamp for stamp, _ in rows], DEPTH_WITHIN)
    return [None if place is None or not rows[place][1].exists() else rows[place][1] for place in places]


def _read_truth(path: Path) -> TimedPoses:
    rows = read_rows(path)
    values = np.array([row.numbers(7, first=1, more=True) for row in rows]).reshape(-1, 7)
    try:
        return TimedPoses.of([row.nanoseconds(0) for row in rows], values[:, :3], values[:, 3:])
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error


def _published_camera(root: Path, frames: list[FrameFiles]) -> tuple[list[Camera], list[str]]:
    """The calibration of the sensor that the name of the folder tells, and what to say of it."""
    sensor = re.search(r"(?:freiburg|\bfr)([123])", root.resolve().name)
    if sensor is None or first_size(frame.image for frame in frames) != SIZE:
        fix = "a folder named ...freiburg1..., 2 or 3 with images of 640x480 has the published one"
        return [], [f"no calibration is known: {fix}"]
    fx, fy, cx, cy, *distortion = INTRINSICS[sensor[1]]
    camera = Camera(*SIZE, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), np.array(distortion))
    return [camera], [f"the calibration is the published one of freiburg{sensor[1]}, by the name of the folder"]
