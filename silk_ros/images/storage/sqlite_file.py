"""SQLite files of rosbag2.

They are read with SQLite itself, and only ever read: no lock is held while an image is used, so that a recording that
is still being written goes on, and the write-ahead log of one that was cut off is read but not merged.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path

from ..source import Lost
from .base import Channel, Storage, Stored, ros2_type, unreadable
from .metadata import listed_files

log = logging.getLogger(__name__)

WIDEST_GAP = 10**6  # ids; a wider gap is one of a damaged id


class SqliteStorage(Storage):
    """A .db3 file. Its messages are listed first and read one by one, so that a damaged page loses its own."""

    def __init__(self, path: Path, origin: Path) -> None:
        super().__init__(path, origin)
        self._mend = self.mend("sqlite3 {} .recover | sqlite3 ~/mended.db3")
        self.check_start(b"SQLite format 3\0", "SQLite")
        with self._connection() as connection:
            topics = connection.execute("select id, name, type, serialization_format from topics").fetchall()
            self.channels = {
                key: Channel(key, str(name), ros2_type(str(kind)), str(encoding))
                for key, name, kind, encoding in topics
            }
            connection.execute("select id from messages limit 0")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that leaves no trace on the disk. Raises ValueError for errors of SQLite."""
        with self.path.open("rb") as file:
            logs_ahead = file.read(20)[18:19] == b"\2"
        # Nobody has a database with a write-ahead log open that has no -shm file. SQLite would create one.
        alone = logs_ahead and not self.path.with_name(f"{self.path.name}-shm").exists()
        options = "mode=ro&vfs=unix-none" if alone else "mode=ro"
        uri = f"{self.path.absolute().as_uri()}?{options}"
        try:
            with closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as connection:
                if alone:
                    connection.execute("pragma locking_mode = exclusive")
                # Without this, SQLite refuses a file that was cut as a whole.
                connection.execute("pragma writable_schema = on")
                yield connection
        except sqlite3.Error as error:
            fix = "end its recording first" if _is_locked(error) else self._mend
            raise unreadable(self.origin, error, fix) from error

    def messages(self, keys: Collection[int]) -> Iterator[Stored]:
        with self._connection() as connection:
            for time, row, key in self._index:
                if key is None or key in keys:
                    yield Stored(time, None if key is None else self.channels[key], self._data(connection, row))

    def _data(self, connection: sqlite3.Connection, row: int) -> bytes | Lost:
        try:
            for (data,) in connection.execute("select data from messages where id = ?", (row,)).fetchall():
                if isinstance(data, bytes):
                    return data
        except sqlite3.Error as error:
            if _is_locked(error):
                raise
        return Lost(f"row {row} of {self.path.name}", f"the database is damaged: {self._mend}")

    @cached_property
    def _index(self) -> list[tuple[int, int, int | None]]:
        """Time, row and topic of the messages that can be read, in order of time. Topic None: lost with the damage."""
        keys = [key for key, channel in self.channels.items() if channel.is_readable]
        query = f"select timestamp, id, topic_id from messages where topic_id in ({', '.join('?' * len(keys))})"
        found: list[tuple[int, int, int | None]]
        with self._connection() as connection:
            try:
                found = connection.execute(query, keys).fetchall()
            except sqlite3.Error as error:
                if _is_locked(error):
                    raise
                log.warning("'%s' is damaged (%s): what is whole is read; %s", self.origin, error, self._mend)
                found = [
                    message
                    for message in _salvage(connection, self._last_row())
                    if message[2] is None or message[2] in keys
                ]
        times = ((time if isinstance(time, int) else 0, row, key) for time, row, key in found)  # of a damaged page
        return sorted(times, key=lambda message: message[:2])

    def _last_row(self) -> int:
        """The number of messages by the metadata of the folder, which is the last row of a recorder; 0 if unknown."""
        with suppress(OSError, ValueError):
            return listed_files(self.origin.parent).get(self.path.name) or 0
        return 0


def _salvage(connection: sqlite3.Connection, last_row: int) -> list[tuple[int, int, int | None]]:
    """Time, row and topic of all messages that a damaged database still tells of; topic None where it is lost.

    last_row: as far as it is known otherwise; 0 if not.
    """
    found: dict[int, tuple[int, int | None]] = {}
    hidden: dict[int, int] = {}
    ends = []  # the last row before the damage from either side
    for order in ("asc", "desc"):
        with suppress(sqlite3.DatabaseError):
            for row, time, key in connection.execute(
                f"select id, timestamp, topic_id from messages order by id {order}"
            ):
                found[row] = time, key
        ends.append(next(reversed(found), 0))
    for order in ("asc", "desc"):  # the index of the times is stored elsewhere
        with suppress(sqlite3.DatabaseError):
            hidden.update(connection.execute(f"select id, timestamp from messages order by timestamp {order}"))
    certain = hidden.keys() | range(1, min(last_row, WIDEST_GAP) + 1)
    for row in certain | set(range(ends[0] + 1, min(ends[1], ends[0] + WIDEST_GAP))) - found.keys():
        time = hidden.get(row, found.get(ends[0], (0, None))[0])
        try:
            keys = connection.execute("select topic_id from messages where id = ?", (row,)).fetchall()
        except sqlite3.DatabaseError:
            keys = [(None,)]
        for (key,) in keys or [(None,)] * (row in certain):
            found[row] = time, key
    return [(time, row, key) for row, (time, key) in found.items()]


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error)
