"""The files of a recording, and the class that reads each; compressed ones are decompressed first."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
import zstandard

from .base import Storage, unreadable
from .mcap_file import McapStorage
from .names import METADATA, SUFFIXES, files_in, plain, suffix
from .ros1_file import Ros1Storage
from .sqlite_file import SqliteStorage

log = logging.getLogger(__name__)

FORMATS: dict[str, type[Storage]] = dict(zip(SUFFIXES, (McapStorage, SqliteStorage, Ros1Storage, Ros1Storage)))


def open_storages(path: Path, temporary: TemporaryDirectory[str]) -> list[Storage]:
    """The files of a recording. Those that cannot be read are left out and logged while there are others.

    temporary: for decompressed files. Raises ValueError or OSError, naming the fix, if there are none.
    """
    storages: list[Storage] = []
    errors: list[Exception] = []
    for file in _data_files(path):
        try:
            storages.append(_open(file, Path(temporary.name)))
        except (OSError, ValueError) as error:
            errors.append(error)
    if not storages:
        raise errors[0]
    for loss in errors:
        log.warning("a file of '%s' is left out, and its images with it: %s", path, loss)
    return storages


def _data_files(path: Path) -> list[Path]:
    """The files of a recording: of a folder all that are not hidden, else the one that is named.

    Raises ValueError, naming the fix, if there are none, or files of several formats.
    """
    if not path.is_dir():
        return [path]
    files = files_in(path)
    for name in sorted(_listed(path) - {plain(file).name for file in files}):
        log.warning("%s of '%s' names %s, which is missing: its images are lost", METADATA, path, name)
    if not files:
        raise ValueError(f"the recording '{path}' holds no .mcap, .db3 or .bag file: copy them into the folder")
    if len({suffix(file) for file in files}) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"the folder '{path}' holds recordings of several formats: give one of {names}")
    return files


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


def _open(file: Path, temporary: Path) -> Storage:
    kind = FORMATS.get(suffix(file))
    if kind is None:
        raise unreadable(file, "its kind is not known", "give a rosbag2 folder, or an .mcap, .db3 or .bag file")
    if file == plain(file):
        return kind(file)
    try:
        return kind(_decompress(file, temporary))
    except ValueError as error:
        raise ValueError(f"'{file}' was decompressed: {error}") from error


def _decompress(file: Path, folder: Path) -> Path:
    """Decompress a file, as far as it is whole."""
    target = folder / plain(file).name
    log.info("decompressing '%s' to %s", file, folder)
    with file.open("rb") as packed, target.open("wb") as unpacked:
        reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
        try:
            shutil.copyfileobj(reader, unpacked, 1 << 20)
        except zstandard.ZstdError as error:
            log.warning("'%s' is damaged (%s): what is whole is read", file, error)
        except OSError as error:
            raise OSError(f"cannot decompress '{file}' ({error}): set TMPDIR to a folder with more space") from error
    return target
