"""Images in 8-bit grey, from the raw buffers and the JPEG and PNG data that cameras and ROS deliver.

The conversion gives what cv_bridge's conversion to mono8 gives. Errors say what is wrong with data that do not fit.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class _Layout(NamedTuple):
    channels: int
    bits: int
    to_gray: int | None  # OpenCV's conversion; None where the buffer is grey already


ENCODINGS = {
    "mono8": _Layout(1, 8, None),
    "mono16": _Layout(1, 16, None),
    "bgr8": _Layout(3, 8, cv2.COLOR_BGR2GRAY),
    "rgb8": _Layout(3, 8, cv2.COLOR_RGB2GRAY),
    "bgra8": _Layout(4, 8, cv2.COLOR_BGRA2GRAY),
    "rgba8": _Layout(4, 8, cv2.COLOR_RGBA2GRAY),
    "bgr16": _Layout(3, 16, cv2.COLOR_BGR2GRAY),
    "rgb16": _Layout(3, 16, cv2.COLOR_RGB2GRAY),
    # OpenCV names a Bayer pattern after its second row: rggb is "BG".
    "bayer_rggb8": _Layout(1, 8, cv2.COLOR_BayerBG2GRAY),
    "bayer_bggr8": _Layout(1, 8, cv2.COLOR_BayerRG2GRAY),
    "bayer_gbrg8": _Layout(1, 8, cv2.COLOR_BayerGR2GRAY),
    "bayer_grbg8": _Layout(1, 8, cv2.COLOR_BayerGB2GRAY),
    "bayer_rggb16": _Layout(1, 16, cv2.COLOR_BayerBG2GRAY),
    "bayer_bggr16": _Layout(1, 16, cv2.COLOR_BayerRG2GRAY),
    "bayer_gbrg16": _Layout(1, 16, cv2.COLOR_BayerGR2GRAY),
    "bayer_grbg16": _Layout(1, 16, cv2.COLOR_BayerGB2GRAY),
    "yuv422": _Layout(2, 8, cv2.COLOR_YUV2GRAY_UYVY),
    "yuv422_yuy2": _Layout(2, 8, cv2.COLOR_YUV2GRAY_YUY2),
}
# Other names of the same layouts. Where a name leaves the order of the channels open, it is that of OpenCV.
ENCODING_ALIASES = {
    "8UC1": "mono8",
    "16UC1": "mono16",
    "8UC3": "bgr8",
    "8UC4": "bgra8",
    "16UC3": "bgr16",
    "uyvy": "yuv422",
    "yuyv": "yuv422_yuy2",
}

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of headers with the size
JPEG_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length

MAX_PIXELS = 64_000_000  # the network would need gigabytes for a larger image


class ValueRange:
    """The range of the values of a stream of 16-bit images."""


def packed_size(height: int, width: int, encoding: str) -> int:
    """The number of bytes of an image without padding; 0 for an unknown encoding."""
    layout = ENCODINGS.get(ENCODING_ALIASES.get(encoding, encoding))
    return height * width * layout.channels * layout.bits // 8 if layout else 0


def check_pixels(height: int, width: int) -> None:
    """Raise ValueError, naming the limit, for images of more than MAX_PIXELS."""
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"an image of {width}x{height} pixels is refused: the limit is {MAX_PIXELS // 10**6} megapixels"
        )


def check_layout(height: int, width: int, encoding: str, step: int, length: int) -> str:
    """The canonical name of an encoding. Raises ValueError, naming the fix, for a buffer that does not fit it."""
    name = ENCODING_ALIASES.get(encoding, encoding)
    if name not in ENCODINGS:
        raise ValueError(
            f"unknown image encoding {encoding[:40]!r}: publish one of {', '.join([*ENCODINGS, *ENCODING_ALIASES])}"
        )
    if height <= 0 or width <= 0:
        raise ValueError(f"image of {width}x{height} pixels is empty: check the camera driver's resolution")
    check_pixels(height, width)
    row_bytes = packed_size(1, width, name)
    if step < row_bytes:
        raise ValueError(
            f"step of {step} bytes is shorter than a row of {width} {encoding} pixels "
            f"({row_bytes} bytes): fix 'step' in the driver"
        )
    if length != step * height:
        raise ValueError(
            f"image data has {length} bytes, step x height is {step} x {height} = {step * height}: "
            "fix 'step' or 'data' in the driver"
        )
    if name.startswith("yuv422") and width % 2:
        raise ValueError(f"{encoding} stores pixels in pairs, but the width is {width}: use an even width")
    return name


def to_gray(
    data: bytes | memoryview,
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool = False,
    value_range: ValueRange | None = None,
) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8 from a raw buffer of `step` bytes per row; rows may be padded.

    16-bit images are scaled by 255 / 65535. An 8-bit grey buffer without padding is not copied.
    Raises ValueError, naming the fix, for unknown encodings and buffers of the wrong size.
    """
    layout = ENCODINGS[check_layout(height, width, encoding, step, memoryview(data).nbytes)]
    rows = np.frombuffer(data, np.uint8).reshape(height, step)
    pixels: np.ndarray = rows[:, : packed_size(1, width, encoding)]
    if layout.bits == 16:
        byte_order = ">u2" if is_bigendian else "<u2"
        pixels = np.ascontiguousarray(pixels).view(byte_order).astype(np.uint16, copy=False)
    if layout.channels > 1:
        pixels = pixels.reshape(height, width, layout.channels)
    if layout.to_gray is not None:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), layout.to_gray)
    if layout.bits == 16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)  # round(v * 255 / 65535)
    return np.ascontiguousarray(pixels)


def decode_gray(data: bytes) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8 from the bytes of a JPEG or PNG file; 16-bit images are scaled by 255 / 65535.

    Raises ValueError as `decode_image` does.
    """
    image = decode_image(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    encoding = "mono8" if image.dtype == np.uint8 else "mono16"
    height, width = image.shape
    return to_gray(image.data, height, width, encoding, image.strides[0])


def decode_compressed(data: bytes, format: str) -> tuple[NDArray[Any], str]:
    """The image (H, W) or (H, W, channels), and its encoding, of the data and the format of a CompressedImage.

    Raises ValueError, naming the fix, for depth images and as `decode_image` does.
    """
    raise NotImplementedError


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
    raise ValueError("a compressed image is neither JPEG nor PNG: set the publisher's format to jpeg or png")


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
