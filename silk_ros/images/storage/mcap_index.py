"""What an MCAP file holds and where: by its summary, or by a scan of a file that has none."""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import IO

from mcap import records
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.stream_reader import StreamReader, breakup_chunk

MAGIC = b"\x89MCAP0\r\n"
RECORD_START = struct.Struct("<BQ")  # opcode and length
MESSAGE_START = struct.Struct("<HIQQ")  # channel, sequence, time of reception, time of publication
INDEX_START = 15  # bytes of a message index before its entries
INDEX_ENTRY = struct.Struct("<QQ")  # time of reception and place in the chunk
FOOTER_SIZE = RECORD_START.size + 20 + len(MAGIC)
OPCODES = {*Opcode}
PRIVATE_OPCODES = 0x80  # and above: records of applications


@dataclass
class Piece:
    """A chunk, or a message outside of chunks.

    start: time of its first message. offset: its place. counts: its messages of each channel; empty if not known.
    indexes: the places of the message indexes of its channels, where it has them.
    """

    start: int
    offset: int
    counts: Counter[int] = field(default_factory=Counter)
    indexes: dict[int, int] = field(default_factory=dict)


@dataclass
class McapIndex:
    """The contents of a file.

    counts: messages of each channel by the statistics; empty without. cut: the byte at which a file ends early.
    """

    schemas: dict[int, records.Schema] = field(default_factory=dict)
    channels: dict[int, records.Channel] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    cut: int | None = None

    def add(self, record: records.McapRecord) -> None:
        """Take in what a record says of channels."""
        if isinstance(record, records.Schema):
            self.schemas[record.id] = record
        elif isinstance(record, records.Channel):
            self.channels[record.id] = record

    def found(self) -> Counter[int]:
        """The number of messages of each channel in the pieces."""
        total: Counter[int] = Counter()
        for piece in self.pieces:
            total.update(piece.counts)
        return total


def read_index(file: IO[bytes]) -> McapIndex:
    """The contents of a file, by its summary if that tells of all messages."""
    summary = None
    with suppress(Exception):  # whatever damaged bytes lead to
        summary = _read_summary(file)
    if summary is not None and summary.found() == summary.counts and summary.counts.keys() <= summary.channels.keys():
        return summary
    scanned = _scan(file)
    if summary is not None:
        scanned.counts = summary.counts
    return scanned


def read_chunk(file: IO[bytes], offset: int) -> list[records.McapRecord]:
    """The records of the chunk, or the message, at a place. Raises exceptions of many kinds for damaged ones."""
    file.seek(offset)
    opcode, length = RECORD_START.unpack(file.read(RECORD_START.size))
    stream = ReadDataStream(file)
    if opcode == Opcode.MESSAGE:
        return [records.Message.read(stream, length)]
    if opcode != Opcode.CHUNK:
        raise ValueError("there is no chunk where the index says")
    return breakup_chunk(records.Chunk.read(stream), validate_crc=True)


def first_time(file: IO[bytes], piece: Piece, keys: Collection[int]) -> int:
    """The time of the first message of some channels in a piece by its message indexes, or that of the piece."""
    times = []
    for key in piece.counts.keys() & set(keys):
        if key not in piece.indexes:
            return piece.start
        file.seek(piece.indexes[key])
        record = file.read(INDEX_START + INDEX_ENTRY.size * piece.counts[key])
        if record[0] != Opcode.MESSAGE_INDEX or len(record) != INDEX_START + INDEX_ENTRY.size * piece.counts[key]:
            return piece.start
        times += [time for time, _ in INDEX_ENTRY.iter_unpack(record[INDEX_START:])]
    return max(piece.start, min(times, default=piece.start))


def _read_summary(file: IO[bytes]) -> McapIndex | None:
    """The contents of a file by the records at its end. None without them, exceptions where they are damaged."""
    size = file.seek(0, os.SEEK_END)
    file.seek(size - FOOTER_SIZE)
    footer = next(StreamReader(file, skip_magic=True).records)
    if not isinstance(footer, records.Footer) or not footer.summary_start:
        return None
    file.seek(footer.summary_start)
    summary = file.read()
    if footer.summary_crc and zlib.crc32(summary[: -4 - len(MAGIC)]) != footer.summary_crc:
        return None
    index = McapIndex()
    for record in StreamReader(BytesIO(summary), skip_magic=True).records:
        index.add(record)
        if isinstance(record, records.ChunkIndex):
            index.pieces.append(_indexed_piece(record))
        elif isinstance(record, records.Statistics):
            index.counts = Counter({key: count for key, count in record.channel_message_counts.items() if count})
    return index


def _indexed_piece(chunk: records.ChunkIndex) -> Piece:
    """The piece of a chunk. The lengths of its message indexes, which lie one after another, give its counts."""
    starts = sorted((offset, key) for key, offset in chunk.message_index_offsets.items())
    end = chunk.chunk_start_offset + chunk.chunk_length + chunk.message_index_length
    counts = Counter(
        {
            key: (after - start - INDEX_START) // INDEX_ENTRY.size
            for (start, key), (after, _) in pairwise([*starts, (end, 0)])
        }
    )
    indexes = dict(chunk.message_index_offsets)
    return Piece(chunk.message_start_time, chunk.chunk_start_offset, +counts, indexes)


def _scan(file: IO[bytes]) -> McapIndex:
    """The contents of a file by its records, up to its end or to the first one that is cut."""
    index, last = McapIndex(), None  # the last chunk, which its message indexes follow
    single: dict[int, Counter[int]] = {}  # the counts of messages outside of chunks
    for offset, opcode, length, start in _records(file, index):
        if opcode == Opcode.MESSAGE_INDEX and last is not None:
            key = int.from_bytes(start[:2], "little")
            last.counts[key] += (RECORD_START.size + length - INDEX_START) // INDEX_ENTRY.size
            last.indexes[key] = offset
            continue
        _learn_channels(file, index, last)
        last = None
        if opcode == Opcode.MESSAGE:
            key, _, time, _ = MESSAGE_START.unpack(start)
            index.pieces.append(Piece(time, offset, single.setdefault(key, Counter({key: 1}))))
        elif opcode == Opcode.CHUNK:
            last = Piece(int.from_bytes(start[:8], "little"), offset)
            index.pieces.append(last)
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            file.seek(offset)
            with suppress(Exception):
                index.add(next(StreamReader(file, skip_magic=True).records))
    _learn_channels(file, index, last)
    return index


def _learn_channels(file: IO[bytes], index: McapIndex, chunk: Piece | None) -> None:
    """Read a chunk for its channels if it has messages of unknown ones."""
    if chunk is None or (chunk.counts and chunk.counts.keys() <= index.channels.keys()):
        return
    with suppress(Exception):  # of a damaged chunk, which is lost when its messages are read
        found = read_chunk(file, chunk.offset)
        for record in found:
            index.add(record)
        chunk.counts = Counter(record.channel_id for record in found if isinstance(record, records.Message))


def _records(file: IO[bytes], index: McapIndex) -> Iterator[tuple[int, int, int, bytes]]:
    """Place, opcode, length and first bytes of the records before the end of the data; sets `cut` without that end."""
    size = file.seek(0, os.SEEK_END)
    offset = len(MAGIC)
    while True:
        file.seek(offset)
        start = file.read(RECORD_START.size + MESSAGE_START.size)
        opcode, length = RECORD_START.unpack_from(start) if len(start) >= RECORD_START.size else (0, 0)
        if opcode in (Opcode.DATA_END, Opcode.FOOTER):
            return
        known = opcode in OPCODES or opcode >= PRIVATE_OPCODES
        if not known or offset + RECORD_START.size + length > size:
            index.cut = offset
            return
        yield offset, opcode, length, start[RECORD_START.size :]
        offset += RECORD_START.size + length
