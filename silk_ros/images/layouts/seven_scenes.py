"""7-Scenes: frame-N.color.png, frame-N.depth.png and frame-N.pose.txt, and camera-intrinsics.txt (of depth)."""

from __future__ import annotations

from pathlib import Path

from ..image_files import image_files
from ..text_files import read_matrix
from .base import FolderLayout, FrameFiles, Matrix
from .kitti import are_rigid

KIND = "7-Scenes (frame-*.color.*)"
INTRINSICS = "camera-intrinsics.txt"


def read_seven_scenes(folder: Path) -> FolderLayout | None:
    """A sequence; None for another folder. The colour images have no published calibration.

    Raises OSError, and ValueError, naming the file and the fix, for files with other contents.
    """
    images = image_files(folder, "frame-*.color.*")
    if not images:
        return None
    frames = []
    for index, image in enumerate(images):
        stem = image.name.split(".color.")[0]
        depth = folder / f"{stem}.depth.png"
        pose = _read_pose(folder / f"{stem}.pose.txt")
        frames.append(FrameFiles(index, image, depth=depth if depth.exists() else None, pose=pose))
    intrinsics = folder / INTRINSICS
    depth_matrix = read_matrix(intrinsics, 3, 3) if intrinsics.exists() else None
    lacking = [frame.image.name.split(".color.")[0] for frame in frames if frame.pose is None]
    notes = [f"{len(lacking)} images lack a pose, the first one that of {lacking[0]}.pose.txt"] if lacking else []
    return FolderLayout(folder, KIND, frames, notes=notes, depth_matrix=depth_matrix)


def _read_pose(path: Path) -> Matrix | None:
    """The pose (4, 4) in a file; None without the file, and where the tracker wrote numbers that are no pose."""
    if not path.exists():
        return None
    pose = read_matrix(path, 4, 4)
    return pose if are_rigid(pose[None]).all() else None
