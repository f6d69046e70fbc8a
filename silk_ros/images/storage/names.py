"""The names of the files of a recording."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = (".mcap", ".db3", ".bag", ".active")  # a .bag.active is a bag of ROS 1 whose recording did not end
ZSTANDARD = (".zstd", ".zst")
METADATA, METADATA_KEY = "metadata.yaml", "rosbag2_bagfile_information"  # of rosbag2


def is_recording(path: Path) -> bool:
    """Whether a path is a file of a recording, or a folder with such files or with the metadata of rosbag2."""
    if not path.is_dir():
        return suffix(path) in SUFFIXES
    return bool(files_in(path)) or _is_metadata(path / METADATA)


def _is_metadata(path: Path) -> bool:
    """Whether a file is metadata of rosbag2, and not that of other programs."""
    return path.is_file() and METADATA_KEY.encode() in path.read_bytes()


def plain(file: Path) -> Path:
    """A file as it is called when it is decompressed."""
    return file.with_suffix("") if file.suffix.lower() in ZSTANDARD else file


def suffix(file: Path) -> str:
    """The suffix that tells the format of a file, in lower case."""
    return plain(file).suffix.lower()


def files_in(folder: Path) -> list[Path]:
    """The files of recordings in a folder that are not hidden; compressed ones only without the decompressed file."""
    files = sorted(file for file in folder.iterdir() if suffix(file) in SUFFIXES and not file.name.startswith("."))
    return [file for file in files if file == plain(file) or plain(file) not in files]


def are_parts(files: list[Path]) -> bool:
    """Whether files are named like the parts of one recording: with a number at the end, and the same before it.

    Times within the names, as bags of ROS 1 have them, may differ.
    """
    found = [re.fullmatch(r"(.*_)(\d+)", plain(file).name.partition(".")[0]) for file in files]
    starts = {re.sub(r"\d+(-\d+)+", "", match[1]) for match in found if match}
    numbers = {int(match[2]) for match in found if match}
    return len(starts) == 1 and len(numbers) == len(files)
