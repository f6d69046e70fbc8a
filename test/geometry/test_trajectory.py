from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from silk_ros.geometry.trajectory import (
    absolute_error,
    end_drift,
    path_length,
    read_tum,
    relative_error,
    segment_drift,
    start_at,
    tum_rows,
    write_tum,
)


def trajectory(positions: list[list[float]], degrees_about_z: list[float] | None = None) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, 3] = positions
    if degrees_about_z:
        poses[:, :3, :3] = Rotation.from_rotvec(np.outer(degrees_about_z, [0, 0, 1]), degrees=True).as_matrix()
    return poses


def straight(step: float, count: int = 6) -> np.ndarray:
    return trajectory([[0, 0, step * index] for index in range(count)])


def test_tum_rows_are_time_position_quaternion() -> None:
    rows = tum_rows(np.array([0.0, 0.5]), trajectory([[1, 2, 3], [4, 5, 6]], [0, 90]))
    half = 0.5**0.5
    np.testing.assert_allclose(rows, [[0, 1, 2, 3, 0, 0, 0, 1], [0.5, 4, 5, 6, 0, 0, half, half]], atol=1e-12)


def test_tum_file_keeps_what_was_written(tmp_path: Path) -> None:
    poses = trajectory([[1, 2, 3], [4, 5, 6]], [10, -170])
    write_tum(tmp_path / "path.txt", tum_rows(np.array([1e9 + 0.1, 1e9 + 0.2]), poses))
    timestamps, read = read_tum(tmp_path / "path.txt")
    np.testing.assert_allclose(timestamps, [1e9 + 0.1, 1e9 + 0.2], atol=1e-6)
    np.testing.assert_allclose(read, poses, atol=1e-8)


@pytest.mark.parametrize("text", ["1 2 3\n", "a b c d e f g h\n", "0 0 0 0 0 0 0 0\n"])
def test_what_is_not_a_tum_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "path.txt").write_text(text)
    with pytest.raises(ValueError, match=r"path\.txt.*timestamp tx ty tz"):
        read_tum(tmp_path / "path.txt")


def test_path_length() -> None:
    assert path_length(trajectory([[0, 0, 0], [3, 4, 0], [3, 4, 2]])) == pytest.approx(7)


def test_absolute_error_is_what_alignment_leaves() -> None:
    truth = trajectory([[-1, 0, 0], [0, 0, 0], [1, 0, 0]])
    turned = trajectory([[5, -1, 2], [5, 0, 2], [5, 1, 2]])
    assert absolute_error(turned, truth) == pytest.approx(0, abs=1e-9)
    # Twice as long: its ends are 1 m off, its middle is not, and no rigid motion makes that better.
    assert absolute_error(trajectory([[-2, 0, 0], [0, 0, 0], [2, 0, 0]]), truth) == pytest.approx((2 / 3) ** 0.5)


def test_relative_error_is_per_frame() -> None:
    translation, rotation = relative_error(straight(1.1), straight(1.0))
    assert translation == pytest.approx(0.1) and rotation == pytest.approx(0, abs=1e-6)
    still = [[0.0, 0, 0]] * 3
    turning, slower = trajectory(still, [0, 10, 20]), trajectory(still, [0, 9, 16])
    assert relative_error(turning, slower)[1] == pytest.approx(((1**2 + 3**2) / 2) ** 0.5)


def test_end_drift_is_in_percent_of_the_path() -> None:
    estimate = straight(1.0)
    estimate[-1, :3, 3] += [0.3, 0, 0.4]
    assert end_drift(estimate, straight(1.0)) == pytest.approx(100 * 0.5 / 5)


def test_segment_drift_takes_the_lengths_that_fit() -> None:
    assert segment_drift(straight(1.1), straight(1.0)) == pytest.approx({n: 10 for n in (1, 2, 3, 4, 5)})
    assert list(segment_drift(straight(100), straight(100, count=6))) == [100, 200, 300, 400, 500]
    assert list(segment_drift(straight(5), straight(5, count=6))) == [10, 20]


def test_segment_drift_does_not_count_what_went_wrong_before() -> None:
    # A wrong turn by 90 degrees after the third of five poses: of the four segments of 1 m only that one is wrong.
    truth = straight(1.0, count=5)
    estimate = truth.copy()
    estimate[3:, :3, 3] = [[1, 0, 2], [2, 0, 2]]
    estimate[3:, :3, :3] = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    assert segment_drift(estimate, truth)[1.0] == pytest.approx(100 * 2**0.5 / 4)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_an_estimate_in_a_frame_of_its_own_is_brought_to_the_first_true_pose(scale: float) -> None:
    truth = trajectory([[1, 2, 3], [2, 2, 3], [2, 4, 3]], [30, 60, 90])
    estimate = np.linalg.inv(truth[0]) @ truth
    estimate[:, :3, 3] /= scale
    np.testing.assert_allclose(start_at(estimate, truth, free_scale=scale != 1), truth, atol=1e-12)
