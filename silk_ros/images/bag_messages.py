"""Images of the messages of recordings."""

from __future__ import annotations

from typing import Any

from .gray import decode_compressed
from .source import SourceImage
from .storage.base import COMPRESSED


def image_from_message(message: Any, message_type: str, receive_time: int) -> SourceImage:
    """The image of a message, with the header's stamp, or the time of reception in nanoseconds where that is zero.

    Raises ValueError, naming the fix, for an image that cannot be read.
    """
    known = {"stamp": header_stamp(message) or receive_time, "frame_id": message.header.frame_id}
    if message_type == COMPRESSED:
        return SourceImage.from_array(*decode_compressed(message.data.tobytes(), message.format), **known)
    layout = message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
    image = SourceImage(message.data, *layout, **known)
    image.check()
    return image


def header_stamp(message: Any) -> int:
    """The stamp of a message in nanoseconds; 0 where the driver sets none."""
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
