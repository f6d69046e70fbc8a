"""Opening the source of images that a user names."""

from __future__ import annotations

import logging
from pathlib import Path

from ..geometry.camera import RECTIFIED
from .bag import BagSource
from .flight import FlightSource
from .folders import FolderSource, StereoFolderSource
from .kitti import stereo_folders
from .source import Source
from .storage.names import is_recording
from .video import VideoSource

log = logging.getLogger(__name__)


def open_source(source: str, topic: str = "", rectified: str = RECTIFIED[0]) -> Source:
    """The source that a text names.

    The text is `flight`, a camera index, a folder of images or a pattern of file names in it, a folder of stereo pairs
    (see `StereoFolderSource`), a video file or a recording. topic: of a recording; its first image topic if empty.

    Raises ValueError or ImportError, naming the fix, when there is no such source.
    """
    opened = _open(source, topic, rectified)
    if opened.about:
        log.info("%s", opened.about)
    return opened


def open_recorded(source: str, topic: str = "", rectified: str = RECTIFIED[0]) -> Source:
    """The source that a text names, for programs that read it to its end. Raises as `open_source`, and for a camera."""
    if _is_camera(source):
        raise ValueError(f"'{source}' is a camera, which never ends: record it first")
    return open_source(source, topic, rectified)


def _is_camera(source: str) -> bool:
    return source.isdecimal() and not Path(source).exists()


def _open(source: str, topic: str, rectified: str) -> Source:
    if source == "flight":
        return FlightSource()
    if _is_camera(source):
        return VideoSource(int(source))
    path = Path(source).expanduser()
    if not path.exists():
        if "*" in path.name and path.parent.is_dir():
            return FolderSource(path.parent, path.name)
        raise ValueError(
            f"no source '{source}': give 'flight', a camera index, a folder of images or a pattern such as "
            "'folder/*.color.jpg', a video file, or a rosbag2 or .mcap recording"
        )
    if path.is_dir():
        if (folders := stereo_folders(path)) is not None:
            return StereoFolderSource(*folders)
        return BagSource(path, topic, rectified) if is_recording(path) else FolderSource(path)
    if is_recording(path):
        return BagSource(path, topic, rectified)
    return VideoSource(path)
