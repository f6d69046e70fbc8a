"""The images of a COLMAP model, under the names of the source's files."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import cv2

from ..images.sequence import SequenceFrame

EIGHT_BITS = ("mono8", "bgr8", "bgra8")  # COLMAP reads these files as they are


class ColmapImages:
    """Writer of images into a new folder.

    An image from a file keeps the file's name and sub-folders; a second one of the same name gets its number in the
    source added. An image of a video or a recording is called by that number: 000010.png is the eleventh.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._names = set[str]()

    def add(self, view: SequenceFrame) -> str:
        """Copy the file of an image, or write its picture where it has none of 8 bits. Returns its name in the folder.

        Raises OSError for what cannot be written.
        """
        name = self._new_name(view)
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if view.image.path is not None and view.image.encoding in EIGHT_BITS:
            shutil.copyfile(view.image.path, target)
        elif not cv2.imwrite(str(target), view.picture()):
            raise OSError(f"cannot write '{target}': is the disk full?")
        return name

    def _new_name(self, view: SequenceFrame) -> str:
        number = f"{view.index:06d}"
        name = view.image.name or f"{number}.png"
        if name in self._names:
            path = PurePosixPath(name)
            name = str(path.with_stem(f"{path.stem}_{number}"))
        self._names.add(name)
        return name
