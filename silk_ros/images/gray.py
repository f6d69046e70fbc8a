"""Raw image buffers, as cameras and ROS deliver them, to 8-bit grey. No ROS needed.

Gives what cv_bridge's conversion to mono8 gives, and says what is wrong with a buffer that does not fit.
"""

from __future__ import annotations

from typing import NamedTuple

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
# Other names of the same layouts. Drivers that leave the meaning of channels open are taken to use OpenCV's order.
ENCODING_ALIASES = {
    "8UC1": "mono8",
    "16UC1": "mono16",
    "8UC3": "bgr8",
    "8UC4": "bgra8",
    "16UC3": "bgr16",
    "uyvy": "yuv422",
    "yuyv": "yuv422_yuy2",
}

MAX_PIXELS = 64_000_000  # a larger image would cost gigabytes on its way through the network


def packed_size(height: int, width: int, encoding: str) -> int:
    """Bytes of an image without padding; 0 for an unknown encoding."""
    layout = ENCODINGS.get(ENCODING_ALIASES.get(encoding, encoding))
    return height * width * layout.channels * layout.bits // 8 if layout else 0


def check_pixels(height: int, width: int) -> None:
    """Raises ValueError, naming the limit, for images of more than MAX_PIXELS."""
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"an image of {width}x{height} pixels is refused: the limit is {MAX_PIXELS // 10**6} megapixels"
        )


def check_layout(height: int, width: int, encoding: str, step: int, length: int) -> str:
    """The encoding's canonical name. Raises ValueError, naming the fix, if the buffer cannot be what it claims."""
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
    data: bytes | memoryview, height: int, width: int, encoding: str, step: int, is_bigendian: bool = False
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
