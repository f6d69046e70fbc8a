"""Estimates of the camera's motion as messages, a transform, and rows of a file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from std_msgs.msg import Header

from ..geometry.trajectory import tum_line, tum_rows, write_tum
from ..odometry.types import Estimate
from .messages import pose_message

# Of a camera's optical axes (x right, y down, z forward) to those of REP 103 (x forward, y left, z up).
OPTICAL_TO_BODY = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
UNKNOWN = -1.0  # first element of a covariance of which nothing is known, as in sensor_msgs/Imu


def odometry_message(estimate: Estimate, odom_frame: str, camera_frame: str) -> Odometry:
    """The pose of the camera (its optical frame) in the odometry frame, and its velocity in its own frame."""
    sec, nanosec = divmod(estimate.stamp, 10**9)
    message = Odometry(
        header=Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=odom_frame), child_frame_id=camera_frame
    )
    message.pose.pose = pose_message(OPTICAL_TO_BODY @ estimate.pose)
    message.pose.covariance[0] = message.twist.covariance[0] = UNKNOWN
    if estimate.seconds > 0:
        moved = np.linalg.inv(estimate.motion)  # the camera's own motion, in the axes it had before
        rotation = moved[:3, :3]
        twist = message.twist.twist
        for vector, values in (
            (twist.linear, moved[:3, 3] @ rotation),
            (twist.angular, cv2.Rodrigues(rotation)[0].ravel()),
        ):
            vector.x, vector.y, vector.z = (values / estimate.seconds).tolist()
    return message


def pose_stamped(message: Odometry) -> PoseStamped:
    return PoseStamped(header=message.header, pose=message.pose.pose)


class TransformPublisher:
    """Publishes odometry on /tf. Raises ImportError without the messages of tf2."""

    def __init__(self, node: Node) -> None:
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError as error:
            raise ImportError(
                "publish_tf needs the messages of tf2: apt install ros-jazzy-tf2-msgs, or set publish_tf to false"
            ) from error
        self._type = TFMessage
        self._publisher = node.create_publisher(TFMessage, "/tf", 100)

    def publish(self, message: Odometry) -> None:
        pose = message.pose.pose
        translation = Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z)
        transform = TransformStamped(
            header=message.header,
            child_frame_id=message.child_frame_id,
            transform=Transform(translation=translation, rotation=pose.orientation),
        )
        self._publisher.publish(self._type(transforms=[transform]))


class TumFile:
    """A trajectory file in the format of TUM that is complete after every pose. An old one is overwritten.

    Raises OSError when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        write_tum(path, [])
        self._path = path
        self._file = path.open("ab", buffering=0)  # nothing is left to write when a process is killed, or the disk full

    def write(self, estimate: Estimate) -> None:
        """Add a pose in the odometry frame."""
        pose: NDArray[np.float64] = OPTICAL_TO_BODY @ estimate.pose
        [row] = tum_rows(np.array([estimate.stamp / 1e9]), pose[None])
        self._file.write(tum_line(row).encode())

    def close(self) -> None:
        self._file.close()
