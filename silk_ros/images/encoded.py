"""Pixels of the JPEG and PNG data that cameras and ROS deliver. Errors say what is wrong with data that do not fit."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of headers with the size
JPEG_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length

OTHERS: dict[str, bytes | tuple[bytes, ...]] = {  # first bytes of other containers
    "WebP": b"RIFF",
    "TIFF": (b"II*\0", b"MM\0*"),
    "BMP": b"BM",
    "QOI": b"qoif",
    "AVIF": b"\0\0\0\x20ftypavif",
    "a frame of video (H.264, H.265)": (b"\0\0\0\x01", b"\0\0\x01"),
}

MAX_PIXELS = 64_000_000  # the network would need gigabytes for a larger image


def check_pixels(height: int, width: int) -> None:
    """Raise ValueError, naming the limit, for images of more than MAX_PIXELS."""
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"an image of {width}x{height} pixels is refused: the limit is {MAX_PIXELS // 10**6} megapixels"
        )


def decode_image(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> NDArray[Any]:
    """The image (H, W) or (H, W, channels), uint8 or uint16, in the bytes of a JPEG or PNG file.

    Pixels stay where the file stores them, whatever orientation its EXIF data asks for: calibrations belong to them.
    Raises ValueError, naming the fix, for other data and for data that is cut off, and for more than MAX_PIXELS
    before any of them are decoded.
    """
    if not data:
        raise ValueError("the compressed image is empty: check the camera driver")
    width, height = _size(data)
    check_pixels(height, width)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # some versions raise where others return None
        image = None
    if image is None or image.shape[:2] != (height, width) or image.dtype not in (np.uint8, np.uint16):
        raise ValueError("cannot decode a compressed image: its data is damaged")
    return image


def _size(data: bytes) -> tuple[int, int]:
    """The width and height in the header of a file."""
    if data.startswith(PNG_START):
        header = data[12:24]
        if len(header) < 12 or not header.startswith(b"IHDR") or PNG_END not in data:
            raise _cut_off("PNG")
        width, height = struct.unpack(">II", header[4:])
        return width, height
    if data.startswith(JPEG_START):
        return _jpeg_size(data)
    kind = next((f"{name}, " for name, start in OTHERS.items() if data.startswith(start)), "")
    raise ValueError(f"a compressed image is {kind}neither JPEG nor PNG: set the publisher's format to jpeg or png")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """The width and height in the frame header, which follows segments of a marker and a length each.

    Decoders skip what they cannot parse until the next marker. This reader refuses it, so that both see one header.
    """
    at = len(JPEG_START)
    while at + 9 <= len(data) and data[at] == 0xFF and data[at + 1] != 0:
        marker = data[at + 1]
        if marker in JPEG_FRAMES:
            if data.find(JPEG_END, at) < 0:
                break
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # padding
            at += 1
        elif marker in JPEG_ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise _cut_off("JPEG")


def _cut_off(kind: str) -> ValueError:
    return ValueError(
        f"a compressed image is a {kind} that is cut off or damaged: check the camera driver and the link"
    )
