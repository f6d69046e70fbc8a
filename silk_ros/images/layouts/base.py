"""What the readers of all layouts return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...geometry.camera import Camera
from ...geometry.rectification import rectify_pair
from ..calibration_file import Mounted
from ..image_files import decode_file
from ..source import Lost
from ..text_files import TextRow, read_rows
from ..timed_poses import TimedPoses

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameFiles:
    """The files of one moment of a data set.

    index: number of the moment in the data set, from 0. stamp: nanoseconds. pose: (4, 4), camera-to-world, metres.
    depth: image of 16 bits that belongs to `image`.
    """

    index: int
    image: Path
    right: Path | None = None
    stamp: int | None = None
    pose: Matrix | None = None
    depth: Path | None = None


@dataclass(frozen=True, eq=False)
class FolderLayout:
    """The contents of a folder in a known layout.

    kind:         name of the layout, and of the folders that are read.
    frames:       in order of time; those of a pair all have a right image.
    cameras:      calibration of the images, and that of the right ones; none if it is not known.
    lost:         images that cannot be used, such as those without the other one of a pair.
    notes:        what else the user should know, for the log.
    depth_units:  steps of the depth images per metre.
    depth_matrix: (3, 3) intrinsics of the depth images; None: they have the pixels of the images.
    """

    folder: Path
    kind: str
    frames: Sequence[FrameFiles]
    cameras: Sequence[Camera] = ()
    lost: Sequence[Lost] = ()
    notes: list[str] = field(default_factory=list)
    depth_units: float = 1000.0
    depth_matrix: Matrix | None = None

    @property
    def camera(self) -> Camera | None:
        return self.cameras[0] if self.cameras else None

    @property
    def right_camera(self) -> Camera | None:
        return self.cameras[1] if len(self.cameras) > 1 else None

    @property
    def stereo(self) -> bool:
        return any(frame.right is not None for frame in self.frames)

    def about(self) -> str:
        """A sentence for the log: which layout was recognised, and what was found."""
        poses = sum(frame.pose is not None for frame in self.frames)
        stamps = sum(frame.stamp is not None for frame in self.frames)
        calibration = "calibration" if self.cameras else "no calibration"
        if self.stereo and len(self.cameras) == 1:
            calibration = "calibration of the left camera"
        found = [
            f"{len(self.frames)} {'stereo pairs' if self.stereo else 'images'}",
            calibration,
            "stamps" if stamps else "no stamps",
            f"{poses} poses" if poses else "no poses",
        ]
        return f"'{self.folder}': {self.kind}: {'; '.join([', '.join(found), *self.notes])}"


def first_size(paths: Iterable[Path]) -> tuple[int, int] | None:
    """The width and height of the first image that can be read, to which the calibration belongs; None without one."""
    for path in paths:
        try:
            height, width = decode_file(path).shape[:2]
        except ValueError:
            continue
        return width, height
    return None


def projected_camera(size: tuple[int, int], projection: Matrix) -> Camera:
    """The camera of rectified images of (width, height) with a projection matrix (3, 4)."""
    return Camera(*size, projection[:, :3], np.zeros(5), projection=projection)


def rectify_mounted(cameras: Sequence[Mounted], files: Sequence[Path]) -> tuple[list[Mounted], list[str]]:
    """Cameras of files with the rectification of their pair, if they are one, and what to say of them.

    Raises ValueError, naming the files and the fix, for cameras that cannot be a pair.
    """
    if len(cameras) < 2:
        return [*cameras], []
    left, right = cameras
    pair = left.camera, right.camera
    names = " and ".join(f"'{file}'" for file in files)
    if not right.camera.projection[0, 3]:  # camera_calibration has not rectified the pair
        motion = right.from_previous
        if motion is None and left.pose is not None and right.pose is not None:
            motion = np.linalg.inv(right.pose) @ left.pose
        if motion is None:
            return [left, right], ["the cameras are no calibrated pair: their files need T_BS, or T_cn_cnm1 of kalibr"]
        try:
            pair = rectify_pair(*pair, motion)
        except ValueError as error:
            raise ValueError(f"{names}: {error}") from error
    if pair[1].projection[0, 3] >= 0:
        raise ValueError(f"{names} put the right camera on the left, or above the other: swap the cameras")
    return [left._replace(camera=pair[0]), right._replace(camera=pair[1])], []


def read_trajectory(
    path: Path, separator: str | None, time: Callable[[TextRow], int], quaternion: Sequence[int]
) -> TimedPoses:
    """The trajectory in a table: in each row a time, x, y and z in metres, and a quaternion.

    time: the nanoseconds of a row. quaternion: places of its x, y, z and w among the numbers after the time.
    Raises OSError, and ValueError, naming the file and the fix, for other contents.
    """
    rows = read_rows(path, separator)
    values = np.array([row.numbers(7, first=1, more=True) for row in rows]).reshape(-1, 7)
    stamps = [time(row) for row in rows]
    try:
        return TimedPoses.of(stamps, values[:, :3], values[:, quaternion])
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error
