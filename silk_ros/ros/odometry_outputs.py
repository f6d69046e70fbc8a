"""Outputs of the odometry node: messages, a transform, and a trajectory file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from numpy.typing import NDArray
from rclpy.node import Node
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from ..geometry.trajectory import tum_line, tum_rows, write_tum
from ..odometry.estimate import Estimate
from .messages import stamp_nanoseconds
from .poses import pose_message

# From a camera's optical axes (x right, y down, z forward) to those of REP 103 (x forward, y left, z up).
OPTICAL_TO_BODY = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
UNKNOWN = -1.0  # first element of an unknown covariance, as in sensor_msgs/Imu
LONGEST_PATH = 5000  # poses
PATH_PERIOD = 5 * 10**8  # smallest time between two messages on ~/path, in nanoseconds: they are long


def odometry_message(estimate: Estimate, odom_frame: str, camera_frame: str) -> Odometry:
    """The pose of the camera (its optical frame) in the odometry frame, and its velocity in its own frame."""
    sec, nanosec = divmod(estimate.stamp, 10**9)
    message = Odometry(
        header=Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=odom_frame), child_frame_id=camera_frame
    )
    message.pose.pose = pose_message(OPTICAL_TO_BODY @ estimate.pose)
    message.pose.covariance[0] = message.twist.covariance[0] = UNKNOWN
    if estimate.seconds > 0:
        moved = np.linalg.inv(estimate.motion)  # the camera's own motion, in the axes that it had before
        rotation, twist = moved[:3, :3], message.twist.twist
        for vector, values in (
            (twist.linear, moved[:3, 3] @ rotation),
            (twist.angular, Rotation.from_matrix(rotation).as_rotvec()),
        ):
            vector.x, vector.y, vector.z = (values / estimate.seconds).tolist()
    return message


class OdometryOutputs:
    """The publishers of the odometry node for its estimates: `~/odometry`, `~/path`, and /tf if that is wanted.

    Raises ImportError, naming the fix, if transforms are wanted and the messages of tf2 are missing.
    """

    def __init__(self, node: Node, odom_frame: str, publish_tf: bool) -> None:
        self._odom_frame = odom_frame
        self._transforms = TransformPublisher(node) if publish_tf else None
        self._path = PathMessage(header=Header(frame_id=odom_frame))
        self._odometry_publisher = node.create_publisher(Odometry, "~/odometry", 10)
        self._path_publisher = node.create_publisher(PathMessage, "~/path", 2)

    def publish(self, estimate: Estimate, camera_frame: str) -> None:
        """Publish an estimate; the path only from time to time, and only while someone subscribes."""
        message = odometry_message(estimate, self._odom_frame, camera_frame)
        self._odometry_publisher.publish(message)
        if self._transforms is not None:
            self._transforms.publish(message)
        self._path.poses.append(PoseStamped(header=message.header, pose=message.pose.pose))
        del self._path.poses[:-LONGEST_PATH]
        due = abs(estimate.stamp - stamp_nanoseconds(self._path.header.stamp)) >= PATH_PERIOD
        if due and self._path_publisher.get_subscription_count():
            self._path.header.stamp = message.header.stamp
            self._path_publisher.publish(self._path)


class TransformPublisher:
    """Publisher of odometry on /tf. Raises ImportError, naming the fix, without the messages of tf2."""

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
        """Publish the pose of an Odometry message as a transform."""
        pose = message.pose.pose
        translation = Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z)
        transform = TransformStamped(
            header=message.header,
            child_frame_id=message.child_frame_id,
            transform=Transform(translation=translation, rotation=pose.orientation),
        )
        self._publisher.publish(self._type(transforms=[transform]))


class TumFile:
    """A trajectory file in the TUM format that is complete after every pose. An old file is overwritten.

    Raises OSError when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        write_tum(path, [])
        # Without a buffer, nothing is left to write when the process is killed or the disk is full.
        self._file = path.open("ab", buffering=0)

    def write(self, estimate: Estimate) -> None:
        """Add a pose in the odometry frame. Raises OSError."""
        pose: NDArray[np.float64] = OPTICAL_TO_BODY @ estimate.pose
        [row] = tum_rows(np.array([estimate.stamp / 1e9]), pose[None])
        self._file.write(tum_line(row).encode())

    def close(self) -> None:
        self._file.close()
