"""Paths of the package's own files (models, config, launch), in the source tree or installed, and of caches."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)

DEFAULT_MODEL = "silk_vggnp_mu.onnx"
PRIVATE, SHARED = 0o600, 0o666  # modes of files before the umask


def share_directory() -> Path:
    """The folder that holds models/, config/ and launch/. Raises FileNotFoundError if the installation lacks it."""
    package = Path(__file__).resolve().parent
    if (package.parent / "package.xml").is_file():
        return package.parent
    for prefix in package.parents:
        if (prefix / "share" / "silk_ros" / "package.xml").is_file():
            return prefix / "share" / "silk_ros"
    raise FileNotFoundError(f"no share/silk_ros folder above '{package}': install silk_ros again")


def default_model() -> Path:
    """The shipped VGGnp-mu network."""
    return share_directory() / "models" / DEFAULT_MODEL


def confined(path: str | Path, directories: Iterable[str | Path]) -> Path:
    """A model file's path with symbolic links resolved, if it lies in one of the folders or beside the shipped model.

    Raises ValueError, naming the folders and the parameter `model_dirs`, for any other path, whether the file exists or
    not. A path inside the folders need not exist. An empty string in `directories` is ignored.
    """
    allowed = [default_model().parent, *(folder for folder in directories if str(folder))]
    folders = [folder for folder in map(_resolved, allowed) if folder is not None]
    resolved = _resolved(path)
    if resolved is None or not any(resolved.is_relative_to(folder) for folder in folders):
        listed = ", ".join(f"'{folder}'" for folder in folders)
        raise ValueError(f"model_path {str(path)!r} is outside {listed}: put the file there, or start with model_dirs")
    return resolved


def _resolved(path: str | Path) -> Path | None:
    """The path without `~`, `..` and links; None if it has no such form: a loop of links, an unknown user, a NUL."""
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def cache_directory(name: str) -> Path | None:
    """The user's private folder for one kind of compiled networks; None, with a warning, if it cannot be created.

    Only the user may enter it, because the compiled networks are executed.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "silk_ros"
        for folder in (base, base / name):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=base / name):
            pass
    except (OSError, RuntimeError) as error:
        log.warning("no cache for compiled networks (%s): each start compiles them again", error)
        return None
    return base / name


def check_new(folder: Path) -> None:
    """Raise FileExistsError, naming the fix, for the folder of an output that exists."""
    if folder.exists():
        raise FileExistsError(f"'{folder}' exists: choose another folder")


def write_atomically(path: Path, content: bytes, mode: int = SHARED) -> None:
    """Write a file that other processes see whole or not at all: after a failure the old file is still complete.

    mode: SHARED gives the permissions that the user's umask leaves; PRIVATE lets nobody else read the file, which suits
    compiled networks, because they are executed. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
