"""Folders of images: those in the layout of a data set, and any others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..geometry.camera import Camera
from .image_files import decode_file, image_files, natural_key, order_note
from .layouts.base import FolderLayout, FrameFiles
from .layouts.euroc import read_euroc
from .layouts.kitti import read_kitti
from .layouts.kitti_raw import read_kitti_raw
from .layouts.seven_scenes import read_seven_scenes
from .layouts.stereo_folders import read_stereo_folders
from .layouts.tum import read_tum
from .source import IMAGE_SUFFIXES, Lost, Source, SourceImage, usual_rate

LAYOUTS = {
    "EuRoC or TUM-VI (mav0/cam0/data)": read_euroc,
    "KITTI odometry (image_0, or image_2 in colour)": read_kitti,
    "KITTI raw (image_00/data, or image_02/data)": read_kitti_raw,
    "TUM RGB-D (rgb.txt, rgb)": read_tum,
    "7-Scenes (frame-N.color.png)": read_seven_scenes,
    "stereo folders (left and right, or cam0 and cam1)": read_stereo_folders,
}
EVERYWHERE = "**/*"  # the pattern of all images in a folder and below
SHOWN_FOLDERS = 5  # in an error


def find_layout(folder: Path) -> FolderLayout | None:
    """The contents of a folder in one of LAYOUTS; None for another folder.

    Raises OSError, and ValueError, naming the file and the fix, for files that do not fit together.
    """
    named = folder if folder.name else folder.resolve()  # "." has no name
    return next(filter(None, (read(named) for read in LAYOUTS.values())), None)


class LayoutSource(Source):
    """The images of a folder in a known layout, with the stamps, poses and calibrations that it holds."""

    def __init__(self, name: str, layout: FolderLayout) -> None:
        super().__init__(name)
        self._layout = layout
        self.stereo = layout.stereo
        self.about = layout.about() + order_note(frame.image for frame in layout.frames)
        self.length = len(layout.frames)
        self.rate = usual_rate([frame.stamp for frame in layout.frames])

    def _read(self) -> Iterator[SourceImage | Lost]:
        yield from self._layout.lost
        for frame in self._layout.frames:
            image = self._load(frame.image, self._layout.camera)
            if isinstance(image, Lost):
                yield image
                continue
            right = None if frame.right is None else self._load(frame.right, self._layout.right_camera)
            if isinstance(right, Lost):
                yield right
                right = None
            yield replace(image, right=right, stamp=frame.stamp, pose=frame.pose)

    def _load(self, path: Path, camera: Camera | None) -> SourceImage | Lost:
        """The image in a file, with its calibration if that is for images of its size."""
        name = self._name(path)
        try:
            image = SourceImage.from_array(decode_file(path), path=path, name=name)
        except ValueError as error:
            return Lost(name, str(error))
        if camera is None or (camera.width, camera.height) == (image.width, image.height):
            return replace(image, camera=camera)
        problem = (
            f"the calibration is for {camera.width}x{camera.height} pixels, the image has {image.width}x{image.height}"
            ": give all images the size of the calibration"
        )
        return replace(image, camera_problem=problem)

    def _name(self, path: Path) -> str:
        """The path of a file from the folder of the source; only the file's name where it lies elsewhere."""
        folder = self._layout.folder
        inside = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
        return path.name if ".." in inside.parts else inside.as_posix()


class FolderSource(LayoutSource):
    """The images of a folder whose names match a pattern, in natural order. Raises ValueError if there are none."""

    def __init__(self, folder: Path, pattern: str = "*") -> None:
        paths = photographs(folder) if pattern == EVERYWHERE else image_files(folder, pattern)
        if not paths:
            raise ValueError(
                f"no images '{folder / pattern}': there should be {', '.join(sorted(IMAGE_SUFFIXES))} files, or one of "
                f"these layouts: {', '.join(LAYOUTS)}{_folders_with_images(folder)}"
            )
        frames = [FrameFiles(index, path) for index, path in enumerate(paths)]
        super().__init__(str(folder / pattern), FolderLayout(folder, f"images '{pattern}'", frames))


def photographs(folder: Path) -> list[Path]:
    """The images of a folder and all below, in natural order; of known data sets those of the cameras, no depths."""
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        inside = waiting.pop()
        with suppress(OSError, ValueError):  # a data set that does not fit together still has images
            if (layout := find_layout(inside)) is not None:
                found += [path for frame in layout.frames for path in (frame.image, frame.right) if path is not None]
                continue
        found += image_files(inside)
        waiting += [path for path in inside.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder)))


def _folders_with_images(folder: Path) -> str:
    """Where to look instead, for the error of a folder without images of its own."""
    inside = sorted({path.relative_to(folder).parts[0] for path in image_files(folder, "**/*")})
    if not inside:
        return ""
    shown = ", ".join(inside[:SHOWN_FOLDERS]) + (", ..." if len(inside) > SHOWN_FOLDERS else "")
    return f"; there are images in its folders {shown}: name one of these, or all as '{folder / EVERYWHERE}'"
