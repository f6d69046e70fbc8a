import subprocess
import sys

import numpy as np
import pytest
from geometry_msgs.msg import Pose, Quaternion

from silk_ros.images.flight import SyntheticFlight
from silk_ros.ros.poses import pose_message, transform_from_pose


def test_pose_messages_carry_the_exact_transform() -> None:
    flight = SyntheticFlight()
    for time in (0.0, 3.3, 17.0):
        np.testing.assert_allclose(transform_from_pose(pose_message(flight.pose(time))), flight.pose(time), atol=1e-9)
    np.testing.assert_allclose(transform_from_pose(pose_message(np.eye(4))), np.eye(4), atol=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_have_their_quaternion(axis: int) -> None:
    pose = -np.eye(4)
    pose[axis, axis] = pose[3, 3] = 1
    orientation = pose_message(pose).orientation
    np.testing.assert_allclose(np.abs([orientation.x, orientation.y, orientation.z, orientation.w]), np.eye(4)[axis])
    np.testing.assert_allclose(transform_from_pose(pose_message(pose)), pose, atol=1e-12)


def test_a_quaternion_of_zeros_is_refused() -> None:
    with pytest.raises(ValueError, match="zero norm"):
        transform_from_pose(Pose(orientation=Quaternion(w=0.0)))


def test_readers_of_clouds_do_not_need_scipy() -> None:
    program = "import sys, silk_ros.ros.messages; print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
