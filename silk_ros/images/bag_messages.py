"""Images of the messages of recordings."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .gray import decode_compressed
from .source import SourceImage
from .storage.base import COMPRESSED


def image_from_message(message: Any, message_type: str) -> SourceImage:
    """The image of a message, with the header's stamp.

    Raises ValueError, naming the fix, for an image that cannot be read, and for an invalid stamp.
    """
    known = {"stamp": header_stamp(message), "frame_id": message.header.frame_id}
    if message_type == COMPRESSED:
        return SourceImage.from_array(*decode_compressed(message.data.tobytes(), message.format), **known)
    layout = message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
    image = SourceImage(message.data, *layout, **known)
    image.check()
    return image


def header_stamp(message: Any) -> int:
    """The stamp of a message in nanoseconds; 0 where the driver sets none. Raises ValueError for an invalid one."""
    seconds, nanoseconds = int(message.header.stamp.sec), int(message.header.stamp.nanosec)
    if seconds < 0:
        raise ValueError(f"stamp with {seconds} seconds, before 1970: set header.stamp in the driver")
    if nanoseconds >= 10**9:
        raise ValueError(f"stamp with {nanoseconds} nanoseconds, a second or more: set header.stamp in the driver")
    return seconds * 10**9 + nanoseconds


def stamp_or_zero(message: Any) -> int:
    """The stamp of a message in nanoseconds; 0 where the driver sets none, or an invalid one."""
    with suppress(ValueError):
        return header_stamp(message)
    return 0
