"""Grey images and masks from the messages Image and CompressedImage."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from ...images.gray import ENCODINGS, check_layout, decode_gray, packed_size, to_gray
from ...images.value_range import ValueRange

try:  # part of a ROS installation; there is no wheel
    from cv_bridge import CvBridge

    CV_BRIDGE: CvBridge | None = CvBridge()
except ImportError:
    CV_BRIDGE = None


def gray_from_message(
    message: Image, bridge: CvBridge | None = CV_BRIDGE, value_range: ValueRange | None = None
) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8, by cv_bridge if it is installed. Raises ValueError, naming the fix.

    value_range: of the values of the camera's 16-bit images so far.

    Images of 16 bits, padded ones and those with colours behind the grey image are converted by numpy: cv_bridge scales
    by the full range of 16 bits, its Python conversion ignores padding at the end of rows, and it does not know nv12.
    """
    layout = message.height, message.width, message.encoding, message.step
    encoding = check_layout(*layout, len(message.data))
    kind = ENCODINGS[encoding]
    padded = message.step != packed_size(1, message.width, encoding)
    if bridge is None or padded or kind.chroma or kind.bits == 16:
        return to_gray(message.data, *layout, bool(message.is_bigendian), value_range=value_range)
    if encoding != message.encoding:
        message = copy(message)
        message.encoding = encoding
    return np.ascontiguousarray(bridge.imgmsg_to_cv2(message, desired_encoding="mono8"))


def mask_from_message(message: Image) -> NDArray[np.uint8]:
    """Mask (H, W) uint8: 255 where a grey image of 8 or 16 bits is not 0, else 0.

    Raises ValueError, naming the fix, for other images and for a mask that leaves no keypoint.
    """
    encoding = check_layout(message.height, message.width, message.encoding, message.step, len(message.data))
    if encoding not in ("mono8", "mono16"):
        raise ValueError(f"a mask is mono8 or mono16, not {message.encoding}: convert it to grey")
    size = packed_size(1, message.width, encoding)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, :size]
    wanted = rows.reshape(message.height, message.width, -1).any(axis=2)
    if not wanted.any():
        raise ValueError("the mask is all black, which leaves no keypoint: paint white where keypoints are wanted")
    return np.where(wanted, 255, 0).astype(np.uint8)


def gray_from_compressed(message: CompressedImage, value_range: ValueRange | None = None) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8. Raises ValueError, naming the fix, for depth and for what cannot be decoded.

    value_range: of the values of the camera's 16-bit images so far.
    """
    return decode_gray(bytes(message.data), message.format, value_range)
