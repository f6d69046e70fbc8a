"""sensor_msgs/Image and CompressedImage to grey arrays, CameraInfo to calibrations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..camera import Camera
from ..compressed import decode_gray
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


def gray_from_compressed(message: CompressedImage) -> NDArray[np.uint8]:
    """Grey image (H, W) uint8 of a JPEG or PNG. Raises ValueError, naming the fix, for others and for damaged ones."""
    if "compressedDepth" in message.format:
        raise ValueError(
            f"a compressed image has the format '{message.format}', which is depth: remap to the topic "
            "image_raw/compressed of a grey or colour camera"
        )
    return decode_gray(bytes(message.data))


def camera_from_message(message: CameraInfo) -> Camera:
    """Calibration of the images that come with a camera_info: of its region of interest, and binned.

    K and P are those of the sensor's full resolution. Raises ValueError, naming the fix, when it is not usable.
    """
    roi, binning = message.roi, (message.binning_x or 1, message.binning_y or 1)
    size = (roi.width or message.width, roi.height or message.height)  # a region of zeros is the full image
    if roi.x_offset + size[0] > message.width or roi.y_offset + size[1] > message.height:
        raise ValueError(
            f"the region of interest in camera_info, {size[0]}x{size[1]} at {roi.x_offset} {roi.y_offset}, is not "
            f"inside its {message.width}x{message.height} pixels: fix 'roi' in the camera driver"
        )
    to_image = np.eye(3)  # from full-resolution pixels to those of the image
    for axis, (offset, factor) in enumerate(zip((roi.x_offset, roi.y_offset), binning)):
        to_image[axis, axis] = 1 / factor
        to_image[axis, 2] = (0.5 - offset) / factor - 0.5  # a binned pixel's centre is amid those it is made of
    return Camera(
        size[0] // binning[0],
        size[1] // binning[1],
        to_image @ np.reshape(message.k, (3, 3)),
        np.array(message.d),
        message.distortion_model,
        np.array(message.r),
        to_image @ np.reshape(message.p, (3, 4)),
    )
