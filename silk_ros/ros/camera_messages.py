"""Images, calibrations and poses of a camera as messages, and poses back."""

from __future__ import annotations

import array

import cv2
import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
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


def pose_message(pose: NDArray[np.float64]) -> Pose:
    """A rigid transform (4, 4) as a Pose."""
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
    position = Point(x=pose[0, 3], y=pose[1, 3], z=pose[2, 3])
    return Pose(position=position, orientation=Quaternion(x=x, y=y, z=z, w=w))


def transform_from_pose(pose: Pose) -> NDArray[np.float64]:
    """The rigid transform (4, 4) of a Pose. Raises ValueError for a quaternion of zeros."""
    position, orientation = pose.position, pose.orientation
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_quat([orientation.x, orientation.y, orientation.z, orientation.w]).as_matrix()
    transform[:3, 3] = position.x, position.y, position.z
    return transform
