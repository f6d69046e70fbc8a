"""Outputs of the odometry node: messages, a transform, and a trajectory file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseArray, PoseStamped, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from numpy.typing import NDArray
from rclpy.node import Node
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from ..geometry.motion import transform
from ..geometry.trajectory import tum_line, tum_rows, write_tum
from ..odometry.estimate import Estimate
from .messages import cloud_from_points, stamp_nanoseconds
from .poses import pose_message

if TYPE_CHECKING:
    from ..odometry.tracking import Tracking

# From a camera's optical axes (x right, y down, z forward) to those of REP 103 (x forward, y left, z up).
OPTICAL_TO_BODY = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
LANDMARK_DTYPE = np.dtype([*((name, "<f4") for name in "xyz"), ("track_id", "<u4")])
UNKNOWN = -1.0  # first element of an unknown covariance, as in sensor_msgs/Imu
LONGEST_PATH = 5000  # poses
PATH_PERIOD = 5 * 10**8  # smallest time between two messages on ~/path, in nanoseconds: they are long


def odometry_message(estimate: Estimate, odom_frame: str, camera_frame: str) -> Odometry:
    """The pose of the camera (its optical frame) in the odometry frame, and its velocity in its own frame."""
    sec, nanosec = divmod(estimate.stamp, 10**9)
    header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=odom_frame)
    message = Odometry(header=header, child_frame_id=camera_frame)
    message.pose.pose = pose_message(OPTICAL_TO_BODY @ estimate.pose)
    message.twist.covariance[0] = UNKNOWN
    message.pose.covariance = _covariance(estimate)
    if estimate.seconds > 0:
        moved = np.linalg.inv(estimate.motion)  # the camera's own motion, in the axes that it had before
        rotation, twist = moved[:3, :3], message.twist.twist
        twist.linear = Vector3(**dict(zip("xyz", moved[:3, 3] @ rotation / estimate.seconds)))
        twist.angular = Vector3(**dict(zip("xyz", Rotation.from_matrix(rotation).as_rotvec() / estimate.seconds)))
    return message


def _covariance(estimate: Estimate) -> NDArray[np.float64]:
    """The covariance (36,) of the pose in the order and axes of nav_msgs: position, then rotation, in odom_frame."""
    if estimate.covariance is None:
        return np.array([UNKNOWN, *[0.0] * 35])
    turn = np.zeros((6, 6))
    turn[:3, 3:] = turn[3:, :3] = OPTICAL_TO_BODY[:3, :3] @ estimate.pose[:3, :3]
    return np.ravel(turn @ estimate.covariance @ turn.T)


class OdometryOutputs:
    """The publishers of the odometry node: `~/odometry`, `~/path`, `~/landmarks`, `~/keyframes`, and /tf if wanted.

    Raises ImportError, naming the fix, if transforms are wanted and the messages of tf2 are missing.
    """

    def __init__(self, node: Node, odom_frame: str, publish_tf: bool) -> None:
        self._odom_frame = odom_frame
        self._path = PathMessage(header=Header(frame_id=odom_frame))
        self._odometry_publisher = node.create_publisher(Odometry, "~/odometry", 10)
        self._path_publisher = node.create_publisher(PathMessage, "~/path", 2)
        self._landmarks_publisher = node.create_publisher(PointCloud2, "~/landmarks", 2)
        self._keyframes_publisher = node.create_publisher(PoseArray, "~/keyframes", 2)
        self._keyframe: int | None = None  # stamp of the last one
        self._send_transform: Callable[[TransformStamped], None] | None = None
        if publish_tf:
            try:
                from tf2_msgs.msg import TFMessage
            except ImportError as error:
                fix = "apt install ros-jazzy-tf2-msgs, or set publish_tf to false"
                raise ImportError(f"publish_tf needs the messages of tf2: {fix}") from error
            publisher = node.create_publisher(TFMessage, "/tf", 100)
            self._send_transform = lambda transform: publisher.publish(TFMessage(transforms=[transform]))

    def publish(self, estimate: Estimate, camera_frame: str) -> None:
        """Publish an estimate; the path only from time to time, and only while someone subscribes."""
        message = odometry_message(estimate, self._odom_frame, camera_frame)
        header, pose = message.header, message.pose.pose
        self._odometry_publisher.publish(message)
        if self._send_transform is not None:
            translation = Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z)
            transform = Transform(translation=translation, rotation=pose.orientation)
            self._send_transform(TransformStamped(header=header, child_frame_id=camera_frame, transform=transform))
        self._path.poses.append(PoseStamped(header=header, pose=pose))
        del self._path.poses[:-LONGEST_PATH]
        due = abs(estimate.stamp - stamp_nanoseconds(self._path.header.stamp)) >= PATH_PERIOD
        if due and self._path_publisher.get_subscription_count():
            self._path.header.stamp = header.stamp
            self._path_publisher.publish(self._path)

    def publish_map(self, tracking: Tracking) -> None:
        """Publish the landmarks and the keyframes if the newest keyframe is new, while someone subscribes."""
        stamp, self._keyframe = self._keyframe, tracking.keyframe
        if self._keyframe is None or self._keyframe == stamp:
            return
        sec, nanosec = divmod(self._keyframe, 10**9)
        header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=self._odom_frame)
        if self._landmarks_publisher.get_subscription_count():
            tracks, points = tracking.landmarks()
            landmarks = np.empty(len(tracks), LANDMARK_DTYPE)
            landmarks["x"], landmarks["y"], landmarks["z"] = transform(OPTICAL_TO_BODY, points).T
            landmarks["track_id"] = tracks
            self._landmarks_publisher.publish(cloud_from_points(header, landmarks))
        if self._keyframes_publisher.get_subscription_count():
            poses = [pose_message(OPTICAL_TO_BODY @ pose) for pose in tracking.keyframes()]
            self._keyframes_publisher.publish(PoseArray(header=header, poses=poses))


class TumFile:
    """A trajectory file in the TUM format that is complete after every pose. An old file is overwritten.

    Raises OSError when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        write_tum(path, [])
        self.path = path
        # Without a buffer, nothing is left to write when the process is killed or the disk is full.
        self._file = path.open("ab", buffering=0)
        self.close = self._file.close

    def write(self, estimate: Estimate) -> None:
        """Add a pose in the odometry frame. Raises OSError."""
        [row] = tum_rows(np.array([estimate.stamp / 1e9]), (OPTICAL_TO_BODY @ estimate.pose)[None])
        self._file.write(tum_line(row).encode())
