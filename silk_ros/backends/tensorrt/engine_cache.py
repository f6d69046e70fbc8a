"""Built engines on disk: private to the user, written whole or not at all, and never trusted unread.

A file is a line that says what it is, a line of JSON (the key, the digest of the engine, facts about its making), and
the engine. TensorRT runs what is in there: only files of the user's own, with just the wanted key and the digest they
state, are loaded.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...paths import cache_directory

log = logging.getLogger(__name__)

MAGIC = b"silk_ros engine 2\n"

Key = Mapping[str, "str | int"]


@dataclass(frozen=True)
class CachedEngine:
    """An engine, and what is known of its making. An empty one was refused: `facts` says why.

    TensorRT's timings are kept alike.
    """

    engine: bytes
    facts: dict[str, Any]


class EngineCache:
    """The engines of one folder, by key. Without a usable folder nothing is kept, which has been said then."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_directory("tensorrt")

    def path(self, key: Key) -> Path | None:
        digest = hashlib.sha256(_canonical(key)).hexdigest()[:32]
        return None if self.folder is None else self.folder / f"{digest}.engine"

    def load(self, key: Key) -> CachedEngine | None:
        """The engine of a key; None, with a warning where a file is there, if there is none that can be trusted."""
        path = self.path(key)
        if path is None or not path.exists():
            return None
        try:
            return _read(path, key)
        except (OSError, ValueError) as error:
            log.warning("engine '%s' is not used (%s): building it again", path, error)
            return None

    def save(self, key: Key, engine: bytes, facts: Mapping[str, object]) -> None:
        """Keep an engine; an empty one says that this key was refused. A failure is logged, and costs a build later."""
        path = self.path(key)
        if path is None:
            return
        header = {"key": dict(key), "facts": dict(facts), "sha256": _digest(dict(facts), engine)}
        self._write(path, MAGIC + json.dumps(header).encode() + b"\n" + engine)

    def last_build_seconds(self) -> float | None:
        """How long the slowest of the kept engines took to build."""
        found = []
        for path in self.folder.glob("*.engine") if self.folder else ():
            try:
                found.append(float(_open(path)[0]["facts"]["build_seconds"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return max(found, default=None)

    @contextmanager
    def building(self, key: Key) -> Iterator[None]:
        """While inside, no other process builds the engine of this key: it waits, and finds it made."""
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

    def _write(self, path: Path, content: bytes) -> None:
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as partial:
                try:
                    partial.write(content)  # the file is made with mode 0600
                    partial.flush()
                    os.fsync(partial.fileno())
                    os.replace(partial.name, path)
                except BaseException:
                    os.unlink(partial.name)
                    raise
        except OSError as error:
            log.warning("'%s' cannot be kept (%s): the next start builds it again", path, error)


def _canonical(key: Key) -> bytes:
    return json.dumps(dict(key), sort_keys=True).encode()


def _digest(facts: dict[str, Any], engine: bytes) -> str:
    return hashlib.sha256(_canonical(facts) + engine).hexdigest()


def _open(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and engine, read once from a file that is the user's own and no link."""
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


def _read(path: Path, key: Key) -> CachedEngine:
    header, engine = _open(path)
    if header.get("key") != dict(key):
        raise ValueError("it is of another model, machine or setting")
    if _digest(header["facts"], engine) != header.get("sha256"):
        raise ValueError("it is truncated or damaged")
    return CachedEngine(engine, header["facts"])
