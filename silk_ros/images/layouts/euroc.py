"""EuRoC and TUM-VI (ASL): mav0/cam0/data with data.csv and sensor.yaml, and the trajectory of the body."""

from __future__ import annotations

from pathlib import Path

from ..calibration_file import Mounted, read_mounted
from ..source import Lost
from ..text_files import read_rows
from ..timed_poses import TimedPoses
from .base import FolderLayout, FrameFiles, Matrix, read_trajectory, rectify_mounted
from .pairing import nearest, required_images

CAMERAS = ("cam0", "cam1")
PAIR_WITHIN = 3_000_000  # nanoseconds between the images of a pair
TRUTHS = ("state_groundtruth_estimate0", "mocap0")  # folders of the trajectory, in EuRoC and in TUM-VI
Stamped = tuple[int, Path]


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
    mounted = cameras[0].pose if cameras else None
    rights: list[Path | None] = [None] * len(images)
    if len(names) == 2:
        others, missing = _stamped_images(root / names[1], f"; to use {names[0]} alone, name '{root / names[0]}'")
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
        notes.append(f"without poses, which need T_BS in '{root / names[0] / 'sensor.yaml'}', or T_cam_imu of kalibr")
    known = [camera.camera for camera in cameras]
    return FolderLayout(root, f"EuRoC ({', '.join(names)})", frames, known, lost=lost, notes=notes)


def _stamped_images(camera: Path, remedy: str = "") -> tuple[list[Stamped], list[Lost]]:
    """The images of a camera by their stamps in nanoseconds, and what is lost.

    The stamp is that of data.csv; an image that it does not list is named by its stamp. remedy: for a folder without
    images.
    """
    index, data = camera / "data.csv", camera / "data"
    files = {path.name: path for path in required_images(data, remedy)}
    by_stem = {path.stem: path.name for path in files.values()}  # images are often converted to another format
    images, lost = [], []
    for row in read_rows(index, ",") if index.exists() else []:
        if len(row.fields) < 2:
            raise row.error("needs a time in nanoseconds, a comma and a file name")
        name = row.fields[1]
        if (image := files.pop(name, None) or files.pop(by_stem.get(Path(name).stem, name), None)) is not None:
            images.append((row.integer(0), image))
        else:
            lost.append(Lost(f"{camera.name}/{name}", "data.csv lists it, but there is no such file: copy it again"))
    listed = {stamp for stamp, _ in images}
    for name, image in files.items():
        if image.stem.isdecimal() and int(image.stem) in listed:
            lost.append(Lost(f"{camera.name}/{name}", "data.csv lists another image of its time: leave one of them"))
        elif image.stem.isdecimal():
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
    """The calibration and the pose in the body of the first cameras that have one, and what to say of them."""
    cameras: list[Mounted] = []
    files: list[Path] = []
    for name in names:
        chain = root.parent / "dso" / "camchain.yaml"  # TUM-VI's, of kalibr
        file = next((path for path in (root / name / "sensor.yaml", chain) if path.exists()), None)
        if file is None:
            return cameras, [f"{name} is without calibration: '{root / name / 'sensor.yaml'}' is missing"]
        files.append(file)
        cameras.append(read_mounted(file, name))
    return rectify_mounted(cameras, files)


def _read_truth(root: Path) -> TimedPoses | None:
    """The trajectory of the body: rows of nanoseconds, x, y, z in metres, and a quaternion as w, x, y, z."""
    path = next((path for name in TRUTHS if (path := root / name / "data.csv").exists()), None)
    if path is None:
        return None
    return read_trajectory(path, ",", lambda row: row.integer(0), [4, 5, 6, 3])


def _pose(truth: TimedPoses | None, stamp: int, mounted: Matrix | None) -> Matrix | None:
    """The pose (4, 4) of the camera, where that of the body and its mounting are known."""
    body = None if truth is None or mounted is None else truth.at(stamp)
    return None if body is None or mounted is None else body @ mounted
