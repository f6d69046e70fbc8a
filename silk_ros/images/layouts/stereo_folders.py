"""Two folders of a stereo pair, with KITTI's text files or YAML files of their calibrations beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..calibration_file import read_mounted
from .base import FolderLayout, rectify_mounted
from .kitti import CALIBRATION, with_kitti_files
from .pairing import frames_by_name

SIDES = (("left", "right"), ("image_left", "image_right"), ("cam0", "cam1"), ("camera_left", "camera_right"))


def read_stereo_folders(folder: Path) -> FolderLayout | None:
    """The pairs of two folders with usual names in upper or lower case; None for a folder without such.

    Raises OSError, and ValueError, naming the file and the fix, for files that do not fit together.
    """
    inside = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    for sides in SIDES:
        if all(side in inside for side in sides):
            left, right = (inside[side] for side in sides)
            kind = f"stereo folders ({left.name}, {right.name})"
            layout = with_kitti_files(folder, kind, frames_by_name(left, right), (0, 1))
            return layout if (folder / CALIBRATION).exists() else _with_yaml(layout, left, right)
    return None


def _with_yaml(layout: FolderLayout, left: Path, right: Path) -> FolderLayout:
    """The layout with the calibrations of left.yaml and right.yaml, or of the names of the folders, if both exist."""
    files = []
    for side, path in ("left", left), ("right", right):
        names = [f"{stem}{suffix}" for stem in (path.name, side) for suffix in (".yaml", ".yml")]
        files.append(next((file for name in names if (file := layout.folder / name).exists()), None))
    found = [file for file in files if file is not None]
    if not found:
        return layout
    if len(found) == 1:
        (lacking,) = (path.name for path, file in zip((left, right), files) if file is None)
        note = f"'{found[0].name}' is not used: add '{lacking}{found[0].suffix}', the calibration of the other camera"
        return replace(layout, notes=[*layout.notes, note])
    cameras, more = rectify_mounted([read_mounted(found[0], "cam0"), read_mounted(found[1], "cam1", "cam0")], found)
    notes = [*layout.notes, f"calibration of '{found[0].name}' and '{found[1].name}'", *more]
    return replace(layout, cameras=[mounted.camera for mounted in cameras], notes=notes)
