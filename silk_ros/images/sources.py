"""Opening the source of images that a user names."""

from __future__ import annotations

import glob
from pathlib import Path

from ..geometry.camera import RECTIFIED
from .bag import BagSource
from .flight import FlightSource
from .folders import FolderSource, LayoutSource, find_layout
from .image_files import image_files, split_pattern
from .source import IMAGE_SUFFIXES, Source
from .stereo_bag import StereoBagSource
from .storage.names import is_recording
from .video import VideoSource


def open_source(
    source: str, topic: str = "", rectified: str = RECTIFIED[0], right_topic: str = "", max_interval: int = 0
) -> Source:
    """The source that a text names.

    The text is `flight`, a camera index, a folder of images or a pattern of file names in it, a folder in a layout of
    `folders.LAYOUTS`, an image, a video file or a recording. A path that exists is a path, whatever it is called.
    topic, rectified: of a recording (see `BagSource`). right_topic, max_interval: of its stereo pairs (see
    `StereoBagSource`); one camera where right_topic is empty.

    Raises ValueError or ImportError, naming the fix, when there is no such source.
    """
    path = _path(source)
    try:
        if right_topic and path is not None and path.exists() and is_recording(path):
            opened: Source = StereoBagSource(path, topic, right_topic, rectified, max_interval)
        else:
            opened = _open(source, topic, rectified)
    except OSError as error:
        raise ValueError(f"cannot read '{source}' ({error.strerror or error}): check its permissions") from error
    if not isinstance(opened, (BagSource, StereoBagSource)) and (topic or right_topic or rectified != RECTIFIED[0]):
        given = f"the topic '{topic or right_topic}' is" if topic or right_topic else f"rectified ({rectified}) is"
        raise ValueError(f"{given} of a recording, but '{source}' is none: leave it out")
    opened.announce()
    return opened


def open_recorded(
    source: str, topic: str = "", rectified: str = RECTIFIED[0], right_topic: str = "", max_interval: int = 0
) -> Source:
    """The source that a text names, for programs that read it to its end. Raises as `open_source`, and for a camera."""
    if is_camera(source):
        raise ValueError(f"'{source}' is a camera, which never ends: record it first")
    return open_source(source, topic, rectified, right_topic, max_interval)


def is_camera(source: str) -> bool:
    """Whether a text names a camera of this machine by its index."""
    return source.isdecimal() and len(source) < 4 and not Path(source).exists()


def _open(source: str, topic: str, rectified: str) -> Source:
    path = _path(source)
    if path is not None and path.exists():
        recorded = is_recording(path)
        layout = find_layout(path) if path.is_dir() and not (recorded and topic) else None
        if recorded and layout is None:
            return _open_recording(path, topic, rectified)
        if layout is not None:
            return LayoutSource(source, layout)
        if path.is_dir():
            return FolderSource(path)
        is_image = path.suffix.lower() in IMAGE_SUFFIXES
        return FolderSource(path.parent, glob.escape(path.name)) if is_image else VideoSource(path)
    if source == "flight":
        return FlightSource()
    if is_camera(source):
        return VideoSource(int(source))
    return _open_pattern(source, path)


def _open_recording(path: Path, topic: str, rectified: str) -> BagSource:
    opened = BagSource(path, topic, rectified)
    if path.is_dir() and (images := image_files(path)):
        opened.about += f"; the image files beside it, such as '{images[0].name}', are not read"
    return opened


def _path(source: str) -> Path | None:
    """The path that a text names; None for an empty one."""
    try:
        return Path(source).expanduser() if source.strip() else None
    except RuntimeError:  # no home of such a user
        return Path(source)


def _open_pattern(source: str, path: Path | None) -> Source:
    """The images that a text names if it is a pattern. Raises ValueError if it is none."""
    link = ""
    if path is not None:
        if (pattern := split_pattern(path)) is not None:
            return FolderSource(*pattern)
        if path.is_symlink():
            link = f"it is a link to '{path.readlink()}', which does not exist; "
    raise ValueError(
        f"no source '{source}': {link}give 'flight', a folder of images or a pattern such as 'folder/*.color.jpg', a "
        "data set, an image, a video file, or a recording (rosbag2, .mcap, .bag)"
    )
