"""Built engines on disk: private to the user, written atomically, and verified before they are loaded.

A file holds a magic line, a line of JSON (the key, facts about the build, a digest of facts and engine), and the
engine. TensorRT executes the content, so a file is loaded only if the user owns it, nobody else can write it, and its
key and digest are right.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...paths import PRIVATE, cache_directory, write_atomically

log = logging.getLogger(__name__)

MAGIC = b"silk_ros engine 2\n"

Key = Mapping[str, "str | int"]  # `EngineMaker` makes it


@dataclass(frozen=True)
class CachedEngine:
    """A cached engine and the facts about its build. An empty engine was refused, and `facts` gives the reason.

    TensorRT's timing caches are kept in the same way.
    """

    engine: bytes
    facts: dict[str, Any]


class EngineCache:
    """The engines of one folder, by key. Without a usable folder (`cache_directory` warns) nothing is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_directory("tensorrt")

    def path(self, key: Key) -> Path | None:
        """The file of a key; None without a folder."""
        digest = hashlib.sha256(_canonical(key)).hexdigest()[:32]
        return None if self.folder is None else self.folder / f"{digest}.engine"

    def load(self, key: Key) -> CachedEngine | None:
        """The engine of a key; None if there is none or, with a warning, if its file cannot be trusted."""
        path = self.path(key)
        if path is None or not path.exists():
            return None
        try:
            header, engine = _open(path)
            if header.get("key") != dict(key):
                raise ValueError("it was built for another model, machine or setting")
            if _digest(header["facts"], engine) != header.get("sha256"):
                raise ValueError("it is truncated or damaged")
            return CachedEngine(engine, header["facts"])
        except (OSError, ValueError) as error:
            log.warning("engine '%s' is not used (%s): building it again", path, error)
            return None

    def save(self, key: Key, engine: bytes, facts: Mapping[str, object]) -> None:
        """Keep an engine; an empty one marks a refused key. Failures are logged; the next start builds again."""
        path = self.path(key)
        if path is None:
            return
        header = {"key": dict(key), "facts": dict(facts), "sha256": _digest(dict(facts), engine)}
        try:
            write_atomically(path, MAGIC + json.dumps(header).encode() + b"\n" + engine, PRIVATE)
        except OSError as error:
            log.warning("cannot write '%s' (%s): the next start builds it again", path, error)

    def last_build_seconds(self) -> float | None:
        """The longest build time of the kept engines; None without any."""
        found = []
        for path in self.folder.glob("*.engine") if self.folder else ():
            try:
                found.append(float(_open(path)[0]["facts"]["build_seconds"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return max(found, default=None)

    @contextmanager
    def building(self, key: Key) -> Iterator[None]:
        """Hold the lock of a key: another process that wants to build its engine waits, and then finds it built."""
        path = self.path(key)
        if path is None:
            yield
            return
        with ExitStack() as stack:
            try:
                lock = stack.enter_context(open(path.with_suffix(".lock"), "w"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    log.warning("another process builds this engine: waiting for it")
                    fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                log.warning("no lock '%s' (%s): another process may build this engine too", path, error)
            yield


def _canonical(key: Key) -> bytes:
    return json.dumps(dict(key), sort_keys=True).encode()


def _digest(facts: dict[str, Any], engine: bytes) -> str:
    return hashlib.sha256(_canonical(facts) + engine).hexdigest()


def _open(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and engine of a file, read once. Raises OSError for a link, ValueError for what others could write."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ValueError("others than the user could have written it")
        if file.readline() != MAGIC:
            raise ValueError("it is no engine of silk_ros")
        header = json.loads(file.readline())
        if not (isinstance(header, dict) and isinstance(header.get("facts"), dict)):
            raise ValueError("its header is damaged")
        return header, file.read()
