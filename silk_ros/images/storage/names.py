"""The names of the files of a recording."""

from __future__ import annotations

import logging
from pathlib import Path

import yaml

log = logging.getLogger(__name__)

SUFFIXES = (".mcap", ".db3", ".bag", ".active")  # a .bag.active is a bag of ROS 1 whose recording did not end
ZSTANDARD = (".zstd", ".zst")
METADATA = "metadata.yaml"


def is_recording(path: Path) -> bool:
    """Whether a path is a file of a recording, or a folder with such files or with the metadata of rosbag2."""
    if not path.is_dir():
        return suffix(path) in SUFFIXES
    return (path / METADATA).exists() or bool(_files_in(path))


def data_files(path: Path) -> list[Path]:
    """The files of a recording: of a folder all that are not hidden, else the one that is named.

    Raises ValueError, naming the fix, if there are none, or files of several formats.
    """
    if not path.is_dir():
        return [path]
    files = _files_in(path)
    for name in sorted(_listed(path) - {plain(file).name for file in files}):
        log.warning("%s of '%s' names %s, which is missing: its images are lost", METADATA, path, name)
    if not files:
        raise ValueError(f"the recording '{path}' holds no .mcap, .db3 or .bag file: copy them into the folder")
    if len({suffix(file) for file in files}) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"the folder '{path}' holds recordings of several formats: give one of {names}")
    return files


def plain(file: Path) -> Path:
    """A file as it is called when it is decompressed."""
    return file.with_suffix("") if file.suffix.lower() in ZSTANDARD else file


def suffix(file: Path) -> str:
    """The suffix that tells the format of a file, in lower case."""
    return plain(file).suffix.lower()


def _files_in(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if suffix(file) in SUFFIXES and not file.name.startswith("."))
    return [file for file in files if file == plain(file) or plain(file) not in files]  # it was decompressed before


def _listed(folder: Path) -> set[str]:
    """The files that the metadata of a folder name, as they are called when they are decompressed."""
    metadata = folder / METADATA
    if not metadata.exists():
        return set()
    try:
        content = yaml.safe_load(metadata.read_text(encoding="utf-8"))
        names = content["rosbag2_bagfile_information"]["relative_file_paths"]
        return {plain(Path(name)).name for name in names}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        log.warning("'%s' is damaged and not used: ros2 bag reindex writes it anew", metadata)
        return set()
