"""JPEG and PNG images, as image_transport's compressed topics carry them, to 8-bit grey. No ROS needed."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from .gray import check_pixels, to_gray

# Pixels as they are stored, which is what a calibration belongs to, whatever side a phone's EXIF data calls up.
FLAGS = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of headers with the size
JPEG_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length


def decode_gray(data: bytes) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8 from the bytes of a JPEG or PNG file; 16-bit images are scaled by 255 / 65535.

    Raises ValueError, naming the fix, for what is no such image, is cut off, or claims more pixels than are
    taken, before any of them are decoded.
    """
    if not data:
        raise ValueError("the compressed image is empty: check the camera driver")
    width, height = _size(data)
    check_pixels(height, width)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS)
    except cv2.error:  # some versions raise where others give None
        image = None
    if image is None or image.shape != (height, width) or image.dtype not in (np.uint8, np.uint16):
        raise ValueError("cannot decode a compressed image: its data is damaged")
    encoding = "mono8" if image.dtype == np.uint8 else "mono16"
    return to_gray(image.data, height, width, encoding, image.strides[0])


def _size(data: bytes) -> tuple[int, int]:
    """Width and height by the file's header."""
    if data.startswith(PNG_START):
        header = data[12:24]
        if len(header) < 12 or not header.startswith(b"IHDR") or PNG_END not in data:
            raise _cut_off("PNG")
        width, height = struct.unpack(">II", header[4:])
        return width, height
    if data.startswith(JPEG_START):
        return _jpeg_size(data)
    raise ValueError("a compressed image is neither JPEG nor PNG: set the publisher's format to jpeg or png")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height in the frame header, which comes after segments of a marker and a length each.

    Stricter than decoders, which look for the next marker behind what they cannot make out: they must not see another
    frame header than this.
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
