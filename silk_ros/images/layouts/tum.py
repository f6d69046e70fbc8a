"""TUM RGB-D: rgb.txt with rgb/, depth.txt with depth/, and groundtruth.txt."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...geometry.camera import Camera
from ..image_files import image_files
from ..source import Lost
from ..text_files import read_rows
from .base import FolderLayout, FrameFiles, first_size, read_trajectory
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
    rows = _read_index(root, INDEX)
    if not rows:
        raise ValueError(f"'{root / INDEX}' names no images: copy the file again, with a time and a file in each row")
    truth = None
    if (root / TRUTH).exists():
        truth = read_trajectory(root / TRUTH, None, lambda row: row.nanoseconds(0), [3, 4, 5, 6])
    depths, notes = _read_depths(root, [stamp for stamp, _ in rows])
    frames, lost = [], []
    for index, (stamp, image) in enumerate(rows):
        if image.exists():
            pose = None if truth is None else truth.at(stamp)
            frames.append(FrameFiles(index, image, stamp=stamp, pose=pose, depth=depths[index]))
        else:
            lost.append(Lost(f"rgb/{image.name}", f"the file that '{INDEX}' names does not exist: copy it again"))
    named = {image for _, image in rows}
    unnamed = [path for path in image_files(root / "rgb") if path not in named]
    lost += [Lost(f"rgb/{path.name}", f"'{INDEX}' does not name it: add its row, with its time") for path in unnamed]
    cameras, more = _published_camera(root, frames)
    notes += more
    return FolderLayout(root, "TUM RGB-D (rgb)", frames, cameras, lost, notes, DEPTH_UNITS)


def _read_index(root: Path, name: str) -> list[tuple[int, Path]]:
    """The files that rgb.txt or depth.txt names, with their stamps in nanoseconds, in order of time."""
    rows = []
    for row in read_rows(root / name):
        stamp = row.nanoseconds(0)
        if len(row.fields) < 2:
            raise row.error("names no file: it needs a time and a file")
        rows.append((stamp, root / row.fields[1]))
    return sorted(rows, key=lambda row: row[0])


def _read_depths(root: Path, stamps: list[int]) -> tuple[list[Path | None], list[str]]:
    """The depth image that belongs to each stamp, and what to say of those that are missing."""
    if not (root / DEPTH_INDEX).exists():
        return [None] * len(stamps), [f"without depth: '{root / DEPTH_INDEX}' is missing"]
    rows = _read_index(root, DEPTH_INDEX)
    places = nearest(stamps, [stamp for stamp, _ in rows], DEPTH_WITHIN)
    depths = [None if place is None or not rows[place][1].exists() else rows[place][1] for place in places]
    missing = [path for _, path in rows if not path.exists()]
    notes = [f"{len(missing)} files of '{DEPTH_INDEX}' do not exist, the first one '{missing[0]}'"] if missing else []
    if alone := depths.count(None):
        notes.append(f"{alone} of {len(depths)} images lack depth")
    return depths, notes


def _published_camera(root: Path, frames: list[FrameFiles]) -> tuple[list[Camera], list[str]]:
    """The calibration of the sensor that the name of the folder tells, and what to say of it."""
    sensor = re.search(r"(?:freiburg|\bfr)([123])", root.resolve().name)
    if sensor is None or first_size(frame.image for frame in frames) != SIZE:
        fix = "a folder named ...freiburg1..., 2 or 3 with images of 640x480 has the published one"
        return [], [f"no calibration is known: {fix}"]
    fx, fy, cx, cy, *distortion = INTRINSICS[sensor[1]]
    camera = Camera(*SIZE, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), np.array(distortion))
    return [camera], [f"the calibration is the published one of freiburg{sensor[1]}, by the name of the folder"]
