"""Images in 8-bit grey, from the raw buffers and the JPEG and PNG data that cameras and ROS deliver.

The conversion gives what cv_bridge's conversion to mono8 gives. Errors say what is wrong with data that do not fit.
"""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .encoded import JPEG_START, check_pixels, decode_image
from .value_range import ValueRange


class _Layout(NamedTuple):
    channels: int
    bits: int
    to_gray: int | None  # OpenCV's conversion; None where the buffer starts with a grey image
    chroma: int = 0  # size of what follows the image, in halves of the image


ENCODINGS = {
    "mono8": _Layout(1, 8, None),
    "mono16": _Layout(1, 16, None),
    "bgr8": _Layout(3, 8, cv2.COLOR_BGR2GRAY),
    "rgb8": _Layout(3, 8, cv2.COLOR_RGB2GRAY),
    "bgra8": _Layout(4, 8, cv2.COLOR_BGRA2GRAY),
    "rgba8": _Layout(4, 8, cv2.COLOR_RGBA2GRAY),
    "bgr16": _Layout(3, 16, cv2.COLOR_BGR2GRAY),
    "rgb16": _Layout(3, 16, cv2.COLOR_RGB2GRAY),
    "bgra16": _Layout(4, 16, cv2.COLOR_BGRA2GRAY),
    "rgba16": _Layout(4, 16, cv2.COLOR_RGBA2GRAY),
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
    "nv12": _Layout(1, 8, None, chroma=1),
    "nv21": _Layout(1, 8, None, chroma=1),
    "nv24": _Layout(1, 8, None, chroma=4),
}
# Other names of the same layouts. Where a name leaves the order of the channels open, it is that of OpenCV.
ENCODING_ALIASES = {
    "8UC1": "mono8",
    "16UC1": "mono16",
    "8UC3": "bgr8",
    "8UC4": "bgra8",
    "16UC3": "bgr16",
    "16UC4": "bgra16",
    "uyvy": "yuv422",
    "yuyv": "yuv422_yuy2",
}

DEPTH_ENCODINGS = {"8SC1", "16SC1", "32SC1", "32FC1", "64FC1"}

# What image_transport compresses, at the start of the format of its messages.
COLOUR = re.compile(r"(rgb|bgr)a?(8|16)")
SIXTEEN_BITS = re.compile(r".*16|16uc\d")


def packed_size(height: int, width: int, encoding: str) -> int:
    """The number of bytes of an image without padding; 0 for an unknown encoding."""
    layout = ENCODINGS.get(ENCODING_ALIASES.get(encoding, encoding))
    return _data_size(height, _row_size(width, layout), layout) if layout else 0


def _row_size(width: int, layout: _Layout) -> int:
    return width * layout.channels * layout.bits // 8


def _data_size(height: int, step: int, layout: _Layout) -> int:
    return step * height + step * height * layout.chroma // 2


def check_layout(height: int, width: int, encoding: str, step: int, length: int) -> str:
    """The canonical name of an encoding. Raises ValueError, naming the fix, for a buffer that does not fit it."""
    name = ENCODING_ALIASES.get(encoding, encoding)
    if encoding in DEPTH_ENCODINGS:
        raise ValueError(f"the image encoding {encoding} holds depths: remap to the image of a grey or colour camera")
    if name not in ENCODINGS:
        raise ValueError(
            f"unknown image encoding {encoding[:40]!r}: publish one of {', '.join([*ENCODINGS, *ENCODING_ALIASES])}"
        )
    if height <= 0 or width <= 0:
        raise ValueError(f"image of {width}x{height} pixels is empty: check the camera driver's resolution")
    check_pixels(height, width)
    row_bytes, size = _row_size(width, ENCODINGS[name]), _data_size(height, step, ENCODINGS[name])
    if step < row_bytes:
        raise ValueError(
            f"step of {step} bytes is shorter than a row of {width} {encoding} pixels "
            f"({row_bytes} bytes): fix 'step' in the driver"
        )
    if length != size:
        chroma = " and the colours behind it" if ENCODINGS[name].chroma else ""
        raise ValueError(
            f"image data has {length} bytes, step x height is {step} x {height}{chroma} = {size}: "
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

    value_range: range of the values of all 16-bit images of the stream, which is stretched to 0 to 255; None for the
    range of the image alone. An 8-bit grey buffer without padding is not copied.
    Raises ValueError, naming the fix, for unknown encodings and buffers of the wrong size.
    """
    layout = ENCODINGS[check_layout(height, width, encoding, step, memoryview(data).nbytes)]
    rows = np.frombuffer(data, np.uint8, height * step).reshape(height, step)
    pixels: np.ndarray = rows[:, : _row_size(width, layout)]
    if layout.bits == 16:
        byte_order = ">u2" if is_bigendian else "<u2"
        pixels = np.ascontiguousarray(pixels).view(byte_order).astype(np.uint16, copy=False)
    values = pixels.reshape(height, width, layout.channels)
    if layout.channels > 1:
        pixels = values
    if layout.to_gray is not None:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), layout.to_gray)
    if layout.bits == 16:
        return (value_range or ValueRange(quiet=True)).to_8_bits(pixels, values)
    return np.ascontiguousarray(pixels)


def decode_compressed(data: bytes, format: str) -> tuple[NDArray[Any], str]:
    """The image (H, W) or (H, W, channels), and its encoding, of the data and the format of a CompressedImage.

    The format is that of image_transport, such as "bayer_rggb8; jpeg compressed ". It says whether a file of one
    channel holds a mosaic, and the order of three channels.
    Raises ValueError, naming the fix, for depth images and as `decode_image` does.
    """
    raw, order = _check_format(format)
    image = decode_image(data)
    bits = 8 * image.dtype.itemsize
    if image.ndim == 3:
        return image, f"{order}{'a' * (image.shape[2] - 3)}{bits}"
    if SIXTEEN_BITS.fullmatch(raw) and data.startswith(JPEG_START):
        raise ValueError(
            f"a compressed image has the format '{format[:60]}': JPEG does not keep values above 255, so set the "
            "publisher's format to png"
        )
    return image, f"{raw.rstrip('0123456789') if raw.startswith('bayer_') else 'mono'}{bits}"


def decode_gray(data: bytes, format: str = "", value_range: ValueRange | None = None) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8 from the bytes of a JPEG or PNG file, by the format of a CompressedImage if it is one.

    value_range: as in `to_gray`. Raises ValueError as `decode_compressed` and `to_gray` do.
    """
    raw, order = _check_format(format)
    if raw.startswith("bayer_") or order == "rgb" or SIXTEEN_BITS.fullmatch(raw):
        image, encoding = decode_compressed(data, format)
    else:  # the decoder makes grey of colours in less time
        image = decode_image(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
        encoding = f"mono{8 * image.dtype.itemsize}"
    height, width = image.shape[:2]
    return to_gray(image.data, height, width, encoding, image.strides[0], sys.byteorder == "big", value_range)


def _check_format(format: str) -> tuple[str, str]:
    """The encoding that was compressed, in lower case, and the order of the channels in the file.

    image_transport's own reader takes files of a colour encoding as RGB unless "compressed bgr" follows.
    """
    raw, separator, stored = " ".join(format.lower().split()).partition(";")
    if "compresseddepth" in format.lower():
        fix = "remap to the topic image_raw/compressed of a grey or colour camera"
        raise ValueError(f"a compressed image has the format '{format[:60]}', which is depth: {fix}")
    is_rgb = separator and COLOUR.fullmatch(raw.strip()) and "compressed bgr" not in stored
    return raw.strip(), "rgb" if is_rgb else "bgr"
