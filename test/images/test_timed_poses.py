from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from silk_ros.images.timed_poses import TimedPoses


def test_poses_between_two_are_on_the_way_whatever_the_signs_and_the_order_of_rows() -> None:
    ends = Rotation.from_euler("xyz", [[10, 20, 30], [14, 18, 33]], degrees=True)
    first, second = ends.as_quat()
    poses = TimedPoses.of([100, 0], [[1, 2, 3], [0, 0, 0]], [-second, first])
    expected = Slerp([0, 100], ends)
    for stamp in (0, 25, 50, 100):
        pose = poses.at(stamp)
        assert pose is not None
        np.testing.assert_allclose(pose[:3, :3], expected(stamp).as_matrix(), atol=1e-5)
        np.testing.assert_allclose(pose[:3, 3], np.array([1, 2, 3]) * stamp / 100)
    assert poses.at(-1) is None and poses.at(101) is None


def test_nothing_is_known_across_a_gap() -> None:
    poses = TimedPoses.of([0, 10**9], np.zeros((2, 3)), [[0, 0, 0, 1]] * 2)
    assert poses.at(5 * 10**8) is None and poses.at(10**9) is not None
    assert TimedPoses.of([], [], []).at(0) is None


@pytest.mark.parametrize(("position", "quaternion"), [([0, 0, np.nan], [0, 0, 0, 1]), ([0, 0, 0], [0, 0, 0, 0])])
def test_rows_that_are_no_pose_are_refused(position: list[float], quaternion: list[float]) -> None:
    with pytest.raises(ValueError, match="a pose is no position in metres with a quaternion of length 1"):
        TimedPoses.of([0], position, quaternion)
