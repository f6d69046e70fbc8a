"""sensor_msgs/Image to grey arrays, CameraInfo to intrinsics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from ..camera import Camera
from ..image import check_layout, packed_size, to_gray

try:  # comes with a ROS installation; there is no wheel of it
    from cv_bridge import CvBridge

    CV_BRIDGE: CvBridge | None = CvBridge()
except ImportError:
    CV_BRIDGE = None


def gray_from_message(message: Image, bridge: CvBridge | None = CV_BRIDGE) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8, through cv_bridge where there is one. Raises ValueError, naming the fix.

    cv_bridge's Python conversion ignores padding at the end of rows, and its byte swap needs numpy 1: such images take
    the numpy conversion.
    """
    padded = message.step * message.height != packed_size(message.height, message.width, message.encoding)
    if bridge is None or padded or message.is_bigendian:
        return to_gray(
            message.data, message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
        )
    encoding = check_layout(message.height, message.width, message.encoding, message.step, len(message.data))
    if encoding != message.encoding:
        message = Image(
            header=message.header,
            height=message.height,
            width=message.width,
            encoding=encoding,
            is_bigendian=message.is_bigendian,
            step=message.step,
            data=message.data,
        )
    return np.ascontiguousarray(bridge.imgmsg_to_cv2(message, desired_encoding="mono8"))


def camera_from_message(message: CameraInfo) -> Camera:
    """Intrinsics of a camera_info. Raises ValueError, naming the fix, when it is not usable."""
    return Camera(message.width, message.height, np.array(message.k), np.array(message.d), message.distortion_model)
