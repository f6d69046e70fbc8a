"""Images and calibrations of a camera as messages."""

from __future__ import annotations

import array

import cv2
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..geometry.camera import Camera
from ..images.source import SourceImage
from .messages import image_message

JPEG_QUALITY = 95


def raw_message(header: Header, image: SourceImage) -> Image:
    """An image in its own encoding."""
    fields = dict(width=image.width, is_bigendian=int(image.is_bigendian))
    return image_message(header, image.data, image.height, image.encoding, **fields)


def compressed_message(header: Header, image: SourceImage) -> CompressedImage:
    """An image in grey, as JPEG."""
    encoded = cv2.imencode(".jpg", image.gray(), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    data = array.array("B", encoded.tobytes())
    return CompressedImage(header=header, format="mono8; jpeg compressed mono8", data=data)


def camera_info_message(header: Header, camera: Camera) -> CameraInfo:
    """A calibration as camera_info."""
    return CameraInfo(
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model=camera.model,
        d=camera.distortion.tolist(),
        k=camera.matrix.ravel(),
        r=camera.rectification.ravel(),
        p=camera.projection.ravel(),
    )
