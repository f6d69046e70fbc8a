"""MCAP files."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from mcap import records

from ..source import Lost
from .base import Channel, Part, Storage, Stored, merge_by_time, ros2_type, unreadable
from .mcap_index import MAGIC, McapIndex, Piece, first_time, read_chunk, read_index

log = logging.getLogger(__name__)


class McapStorage(Storage):
    """An .mcap file. Chunks are read one by one, so that a damaged one loses its own messages.

    A file that was cut, or has no index of all its messages, is scanned once.
    """

    def __init__(self, path: Path, origin: Path) -> None:
        super().__init__(path, origin)
        self._mend = self.mend("mcap recover {} -o ~/mended.mcap")
        self.check_start(MAGIC, "MCAP")
        with path.open("rb") as file:
            index = read_index(file)
        if index.cut is not None:
            if not index.pieces:
                raise unreadable(origin, "it was cut before its first whole message", "record again")
            log.warning(
                "'%s' was cut or is damaged at byte %d: what is whole before it is read%s; %s",
                origin,
                index.cut,
                "" if index.counts else ", and how much is lost behind it is not known",
                self._mend,
            )
        self.channels = {key: _channel(channel, index) for key, channel in index.channels.items()}
        self.start = min((piece.start for piece in index.pieces), default=0)
        self._pieces = index.pieces
        self._missing = index.counts - index.found()
        self._missing_part = "damaged chunks" if index.cut is None else "end"

    def messages(self, keys: Collection[int]) -> Iterator[Stored]:
        with self.path.open("rb") as file:
            yield from merge_by_time(
                Part(piece.start, partial(self._read, file, piece, keys), partial(first_time, file, piece, keys))
                for piece in self._pieces
                if not piece.counts or not piece.counts.keys().isdisjoint(keys)
            )
        lost = Lost(f"{self._missing_part} of {self.path.name}", f"the file is damaged: {self._mend}")
        for key in self._missing.keys() & set(keys):
            yield from [Stored(self.start, self.channels.get(key), lost)] * self._missing[key]

    def _read(self, file: IO[bytes], piece: Piece, keys: Collection[int]) -> Iterator[Stored]:
        try:
            found = [record for record in read_chunk(file, piece.offset) if isinstance(record, records.Message)]
        except Exception:  # whatever damaged bytes lead to
            place = f"chunk at byte {piece.offset} of {self.path.name}"
            lost = Lost(place, f"the chunk is damaged: {self._mend}")
            unknown = [] if self._missing else [None]  # the missing messages are counted at the end
            for key in [key for key in piece.counts.elements() if key in keys] if piece.counts else unknown:
                yield Stored(piece.start, None if key is None else self.channels[key], lost)
            return
        for message in sorted(found, key=lambda message: message.log_time):
            if message.channel_id in keys:
                yield Stored(message.log_time, self.channels[message.channel_id], message.data)


def _channel(channel: records.Channel, index: McapIndex) -> Channel:
    schema = index.schemas.get(channel.schema_id)
    return Channel(channel.id, channel.topic, ros2_type(schema.name) if schema else "", channel.message_encoding)
