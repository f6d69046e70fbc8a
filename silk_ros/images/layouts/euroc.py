"""EuRoC and TUM-VI (ASL): mav0/cam0/data with data.csv and sensor.yaml, and the trajectory of the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...geometry.camera import Camera
from ...geometry.rectification import rectify_pair
from ..calibration_file import read_mounted
from ..source import Lost
from ..text_files import read_rows
from ..timed_poses import TimedPoses
from .base import FolderLayout, FrameFiles, Matrix
from .pairing import nearest, required_images

CAMERAS = ("cam0", "cam1")
PAIR_WITHIN = 3_000_000  # nanoseconds between the images of a pair
TRUTHS = ("state_groundtruth_estimate0", "mocap0")  # folders of the trajectory, in EuRoC and in TUM-VI
Stamped = tuple[int, Path]
Mounted = tuple[Camera, Matrix | None]


def read_euroc(folder: Path) -> FolderLayout | None:
    """A sequence, also where `folder` is its mav0, or one of its cameras; None for another folder.

    Cameras get the rectification of their pair. Raises OSError, and ValueError, naming the file and the fix, for files
    with other contents.
    """
    if folder.name == "data" and folder.parent.name in CAMERAS:
        folder = folder.parent
    root, wanted = (folder.parent, [folder.name]) if folder.name in CAMERAS else (folder, [*CAMERAS])
    root = root / "mav0" if (root / "mav0").is_dir() else root
    names = [name for name in wanted if (root / name / "data").is_dir()]
    if not names:
        return None
    images, lost = _stamped_images(root / names[0])
    truth = _read_truth(root)
    cameras, notes = _read_cameras(root, names)
    mounted = cameras[0][1] if cameras else None
    rights: list[Path | None] = [None] * len(images)
    if len(names) == 2:
        others, missing = _stamped_images(root / names[1])
        rights, alone = _partners(images, others, names)
        lost = [*lost, *missing, *alone]
    frames = [
        FrameFiles(index, image, right, stamp, _pose(truth, stamp, mounted))
        for index, ((stamp, image), right) in enumerate(zip(images, rights))
        if len(names) == 1 or right is not None
    ]
    if not frames:
        raise ValueError(f"no images of '{root / names[0]}' and '{names[1]}' are of one time: record them in step")
    if truth is not None and mounted is None:
        notes.append("without poses, which need T_BS of sensor.yaml")
    known = [camera for camera, _ in cameras]
    return FolderLayout(root, f"EuRoC ({', '.join(names)})", frames, known, lost=lost, notes=notes)


def _stamped_images(camera: Path) -> tuple[list[Stamped], list[Lost]]:
    """The images of a camera by their stamps in nanoseconds, and what is lost.

    The stamp is that of data.csv; an image that it does not list is named by its stamp.
    """
    index, data = camera / "data.csv", camera / "data"
    files = {path.name: path for path in required_images(data)}
    images, lost = [], []
    for row in read_rows(index, ",") if index.exists() else []:
        if len(row.fields) < 2:
            raise row.error("needs a time in nanoseconds, a comma and a file name")
        if (image := files.pop(row.fields[1], None)) is not None:
            images.append((row.integer(0), image))
        else:
            lost.append(Lost(f"{camera.name}/{row.fields[1]}", "data.csv lists it, but there is no such file"))
    for name, image in files.items():
        if image.stem.isdecimal():
            images.append((int(image.stem), image))
        else:
            lost.append(Lost(f"{camera.name}/{name}", "data.csv has no time for it: add its row"))
    return sorted(images), lost


def _partners(images: list[Stamped], others: list[Stamped], names: list[str]) -> tuple[list[Path | None], list[Lost]]:
    """The right image of each left one, and the images of both cameras without the other one."""
    places = nearest([stamp for stamp, _ in images], [stamp for stamp, _ in others], PAIR_WITHIN)
    used = set(places)
    alone = [(names[0], image) for (_, image), place in zip(images, places) if place is None]
    alone += [(names[1], image) for place, (_, image) in enumerate(others) if place not in used]
    lost = [Lost(f"{name}/{image.name}", "the other camera has no image of that time") for name, image in alone]
    return [None if place is None else others[place][1] for place in places], lost


def _read_cameras(root: Path, names: list[str]) -> tuple[list[Mounted], list[str]]:
    """The calibration and the pose in the body of each camera, and what to say of them; none unless all have one."""
    cameras: list[Mounted] = []
    for name in names:
        chain = root.parent / "dso" / "camchain.yaml"  # TUM-VI's, of kalibr
        file = next((path for path in (root / name / "sensor.yaml", chain) if path.exists()), None)
        if file is None:
            return [], [f"without calibration: '{root / name / 'sensor.yaml'}' is missing"]
        cameras.append(read_mounted(file, name))
    if len(cameras) == 1:
        return cameras, []
    (left, left_pose), (right, right_pose) = cameras
    if left_pose is None or right_pose is None:
        return cameras, ["the cameras are no calibrated pair: their files need T_BS"]
    left, right = rectify_pair(left, right, np.linalg.inv(right_pose) @ left_pose)
    return [(left, left_pose), (right, right_pose)], []


def _read_truth(root: Path) -> TimedPoses | None:
    """The trajectory of the body: rows of nanoseconds, x, y, z in metres, and a quaternion as w, x, y, z."""
    path = next((path for name in TRUTHS if (path := root / name / "data.csv").exists()), None)
    if path is None:
        return None
    rows = read_rows(path, ",")
    values = np.array([row.numbers(7, first=1, more=True) for row in rows]).reshape(-1, 7)
    try:
        return TimedPoses.of([row.integer(0) for row in rows], values[:, :3], values[:, [4, 5, 6, 3]])
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error


def _pose(truth: TimedPoses | None, stamp: int, mounted: Matrix | None) -> Matrix | None:
    """The pose (4, 4) of the camera, where that of the body and its mounting are known."""
    body = None if truth is None or mounted is None else truth.at(stamp)
    return None if body is None or mounted is None else body @ mounted
