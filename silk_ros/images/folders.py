"""Folders of images, and folders of rectified stereo pairs in the layout of KITTI or one like it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .kitti import CALIBRATION, POSES, read_poses, read_projections
from .source import IMAGE_SUFFIXES, Lost, Source, SourceImage


def image_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The image files of a folder that match a pattern of names, sorted by path; "**/*" looks into sub-folders too.

    Hidden files are left out.
    """
    found = (path for path in folder.glob(pattern) if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(path for path in found if not path.name.startswith("."))


class FolderSource(Source):
    """The images of a folder in the order of their names."""

    def __init__(self, folder: Path, pattern: str = "*") -> None:
        super().__init__(str(folder / pattern))
        self._paths = image_files(folder, pattern)
        if not self._paths:
            raise ValueError(
                f"no images '{folder / pattern}': there should be {', '.join(sorted(IMAGE_SUFFIXES))} files"
            )

    def __len__(self) -> int:
        return len(self._paths)

    def _read(self) -> Iterator[SourceImage | Lost]:
        for path in self._paths:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is None:
                yield Lost(path.name, "it is damaged or no image: remove or replace the file")
                continue
            yield SourceImage.from_array(image)


class StereoFolderSource(Source):
    """The left images of a stereo pair in the order of their names, each with its `right` image.

    A calib.txt beside the folders gives the projection matrices of the left camera (row P0) and the right one (P1). A
    poses.txt gives the poses of the left camera in the world: for each image a row, the upper 3x4 of the matrix.

    Raises ValueError, naming the file and the fix, for folders and files that do not fit together.
    """

    stereo = True

    def __init__(self, left: Path, right: Path) -> None:
        super().__init__(str(left.parent))
        self._sources = FolderSource(left), FolderSource(right)
        counts = [len(source) for source in self._sources]
        if counts[0] != counts[1]:
            raise ValueError(
                f"{counts[0]} images in '{left}' and {counts[1]} in '{right}': each left one needs its right one"
            )
        calibration, poses = left.parent / CALIBRATION, left.parent / POSES
        self._projections = read_projections(calibration, 2) if calibration.exists() else None
        self._poses = read_poses(poses) if poses.exists() else None
        if self._poses is not None and len(self._poses) != counts[0]:
            raise ValueError(f"{len(self._poses)} rows in '{poses}' for {counts[0]} images: give one for each")

    def _read(self) -> Iterator[SourceImage]:
        for index, (left, right) in enumerate(zip(*self._sources)):
            if self._projections is not None:
                left, right = (
                    replace(image, camera=_rectified_camera(image, projection))
                    for image, projection in zip((left, right), self._projections)
                )
            yield replace(left, right=right, pose=None if self._poses is None else self._poses[index])


def _rectified_camera(image: SourceImage, projection: NDArray[np.float64]) -> Camera:
    return Camera(image.width, image.height, projection[:, :3], np.zeros(5), projection=projection)
