"""The files of a recording, and the class that reads each; compressed ones are decompressed first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import zstandard

from .base import Storage, unreadable
from .mcap_file import McapStorage
from .metadata import listed_files
from .names import METADATA, SUFFIXES, are_parts, files_in, plain, suffix
from .ros1_file import Ros1Storage
from .sqlite_file import SqliteStorage

log = logging.getLogger(__name__)

FORMATS: dict[str, type[Storage]] = dict(zip(SUFFIXES, (McapStorage, SqliteStorage, Ros1Storage, Ros1Storage)))
PACKED_BYTES = 1 << 16  # that are decompressed at once
COPY_AGAIN = "copy the file again from where it was recorded"


def open_storages(path: Path, files: list[Path], temporary: TemporaryDirectory[str]) -> list[Storage]:
    """The files of a recording. Those that cannot be read are left out and logged while there are others.

    temporary: for decompressed files. Raises ValueError or OSError, naming the fix, if there are none.
    """
    storages: list[Storage] = []
    errors: list[Exception] = []
    for file in files:
        try:
            storages.append(_open(file, Path(temporary.name)))
        except (OSError, ValueError) as error:
            errors.append(error)
    if not storages:
        raise errors[0]
    for loss in errors:
        log.warning("a file of '%s' is left out, and its images with it: %s", path, loss)
    return storages


def data_files(path: Path) -> tuple[list[Path], str]:
    """The files of a recording, and what is to be said of them where they may not belong together (else empty).

    Of a folder these are the files that its metadata name, or all that are not hidden if there are none of those.

    Raises ValueError, naming the fix, if there are none, or files of several formats.
    """
    if not path.is_dir():
        return [path], ""
    files = files_in(path)
    if not files:
        raise ValueError(f"the recording '{path}' holds no .mcap, .db3 or .bag file: copy them into the folder")
    chosen = _listed(path, files) or files
    names = ", ".join(file.name for file in chosen)
    if len({suffix(file) for file in chosen}) > 1:
        raise ValueError(f"the folder '{path}' holds recordings of several formats: give one of {names}")
    if chosen is not files or len(files) == 1:
        return chosen, ""
    if not are_parts(files):
        return files, f"all files of the folder are read as one recording: {names}; give one of them to read it alone"
    log.info("the files of '%s' are read as parts of one recording: %s", path, names)
    return files, ""


def _listed(folder: Path, files: list[Path]) -> list[Path]:
    """The files that the metadata of a folder name; empty without any. Those missing and those not named are logged."""
    try:
        names = listed_files(folder).keys()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("%s", error)
        return []
    for name in sorted(names - {plain(file).name for file in files}):
        log.warning("%s of '%s' names %s, which is missing: its images are lost", METADATA, folder, name)
    chosen = [file for file in files if plain(file).name in names]
    others = ", ".join(file.name for file in files if file not in chosen)
    if others and chosen:
        log.warning(
            "%s of '%s' does not name %s, which is not read: give a file by its path to read it alone, "
            "or have it named by ros2 bag reindex",
            METADATA,
            folder,
            others,
        )
    return chosen


def _open(file: Path, temporary: Path) -> Storage:
    kind = FORMATS.get(suffix(file))
    if kind is None:
        raise unreadable(file, "its kind is not known", "give a rosbag2 folder, or an .mcap, .db3 or .bag file")
    return kind(file if file == plain(file) else _decompress(file, temporary), file)


def _decompress(file: Path, folder: Path) -> Path:
    """Decompress a file, as far as it is whole. Raises ValueError, naming the fix, if nothing is."""
    target = folder / plain(file).name
    log.info("decompressing '%s' to %s", file, folder)
    reason = ""
    with file.open("rb") as packed, target.open("wb") as unpacked:
        try:
            for data in _frames(packed):
                unpacked.write(data)
        except EOFError:
            reason = "it was cut"
        except zstandard.ZstdError as error:
            reason = f"its compression is damaged: {error}"
        except OSError as error:
            raise OSError(f"cannot decompress '{file}' ({error}): set TMPDIR to a folder with more space") from error
    if reason and not target.stat().st_size:
        raise unreadable(file, reason, COPY_AGAIN)
    if reason:
        log.warning("of '%s' only what is whole is read (%s): %s", file, reason, COPY_AGAIN)
    return target


def _frames(packed: IO[bytes]) -> Iterator[bytes]:
    """The contents of all frames of a file. Raises EOFError if it ends within one, ZstdError for damage."""
    decompressor, frame = zstandard.ZstdDecompressor(), None
    while data := packed.read(PACKED_BYTES):
        while data:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(data)
            data = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise EOFError
