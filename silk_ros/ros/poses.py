"""Transforms as messages with a quaternion, and back."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation


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
