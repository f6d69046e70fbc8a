"""What the readers of all layouts return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...geometry.camera import Camera
from ..image_files import decode_file
from ..source import Lost

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
        found = [
            f"{len(self.frames)} {'stereo pairs' if self.stereo else 'images'}",
            "calibration" if self.cameras else "no calibration",
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
