import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from silk_ros.geometry.homography import project
from silk_ros.geometry.motion import (
    angle_between,
    back_project,
    motion_between,
    rigid_alignment,
    rotation_angle,
    transform,
)


def motion(degrees_about_z: float, translation: list[float]) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_euler("z", degrees_about_z, degrees=True).as_matrix()
    result[:3, 3] = translation
    return result


def test_motion_takes_points_of_one_camera_to_the_other() -> None:
    # Camera 1 stands 2 m further along x than camera 0: what is 3 m to the right of 0 is 1 m to the right of 1.
    moved = transform(motion_between(np.eye(4), motion(0, [2, 0, 0])), np.array([[3.0, 0, 5]]))
    np.testing.assert_allclose(moved, [[1, 0, 5]])


def test_rotation_is_applied_before_translation() -> None:
    np.testing.assert_allclose(transform(motion(90, [0, 0, 1]), np.array([[1.0, 0, 0]])), [[0, 1, 1]], atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 30.0, 180.0])
def test_rotation_angle(degrees: float) -> None:
    assert rotation_angle(motion(degrees, [1, 2, 3])) == pytest.approx(degrees)
    np.testing.assert_allclose(rotation_angle(np.stack([motion(degrees, [0, 0, 0]), np.eye(4)])), [degrees, 0])


def test_angle_between_vectors_does_not_depend_on_their_lengths() -> None:
    assert angle_between(np.array([0.1, 0, 0]), np.array([5.0, 5, 0])) == pytest.approx(45)
    assert angle_between(np.array([1.0, 0, 0]), np.array([-3.0, 0, 0])) == pytest.approx(180)


def test_back_projection_inverts_projection() -> None:
    matrix = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    points = back_project(matrix, np.array([[50.0, 40], [150, 40], [50, 90]]), np.array([2.0, 2, 4]))
    np.testing.assert_allclose(points, [[0, 0, 2], [2, 0, 2], [0, 2, 4]])
    np.testing.assert_allclose(project(matrix, points), [[50, 40], [150, 40], [50, 90]])


def test_alignment_recovers_a_motion_and_weights_leave_points_out() -> None:
    true = motion(50, [1, -2, 3])
    source = np.random.default_rng(0).normal(size=(10, 3))
    target = transform(true, source)
    target[0] += 5
    np.testing.assert_allclose(rigid_alignment(source, target, np.arange(10) > 0), true, atol=1e-12)


def test_alignment_of_mirrored_points_is_still_a_rotation() -> None:
    source = np.random.default_rng(0).normal(size=(10, 3))
    found = rigid_alignment(source, source * [-1, 1, 1])
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1)


def test_alignment_solves_many_problems_at_once() -> None:
    truths = np.stack([motion(10, [1, 0, 0]), motion(-70, [0, 1, 0])])
    source = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(rigid_alignment(source, transform(truths, source)), truths, atol=1e-12)
