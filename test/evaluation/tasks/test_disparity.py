import numpy as np
import pytest

from silk_ros.evaluation.tasks.disparity import disparity_offset, stereo_depths
from silk_ros.geometry.homography import project
from silk_ros.geometry.motion import transform
from silk_ros.geometry.pnp import DepthMatches, shift_disparities

MATRIX = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
FOCAL_BASELINE = 250.0  # a disparity of d pixels is a depth of FOCAL_BASELINE / d metres


def steps(disparity_error: float, noise: float, count: int = 5) -> list[DepthMatches]:
    """Forward motion by a metre among points at 5 to 60 m; their disparities are too small by `disparity_error`."""
    rng = np.random.default_rng(0)
    motion = np.eye(4)
    motion[2, 3] = -1
    made = []
    for _ in range(count):
        depths = 1 / rng.uniform(1 / 60, 1 / 5, 200)
        points = np.column_stack([rng.uniform(-0.6, 0.6, 200) * depths, rng.uniform(-0.4, 0.4, 200) * depths, depths])
        next_pixels = project(MATRIX, transform(motion, points)) + rng.normal(0, noise, (200, 2))
        disparities = FOCAL_BASELINE / depths - disparity_error + rng.normal(0, noise, 200)
        seen = disparities > 1
        made.append(
            DepthMatches(
                project(MATRIX, points)[seen],
                FOCAL_BASELINE / disparities[seen],
                next_pixels[seen],
                200,
                FOCAL_BASELINE,
            )
        )
    return made


def test_depth_comes_from_matches_in_one_row() -> None:
    left = np.array([[100, 50], [200, 50], [300, 50], [400, 50], [500, 50]], np.float32)
    # Disparities of 10 and 50 px; another row; to the wrong side; the last is not matched.
    right = np.array([[90, 51], [150, 50], [290, 60], [410, 50]], np.float32)
    rows = np.array([[0, 0], [1, 1], [2, 2], [3, 3]], np.int32)
    np.testing.assert_allclose(stereo_depths(left, right, rows, FOCAL_BASELINE), [25, 5, np.nan, np.nan, np.nan])


@pytest.mark.parametrize("error", [0.0, 1.2, -0.7])
def test_offset_of_the_disparities_shows_in_the_motion(error: float) -> None:
    assert disparity_offset(steps(error, noise=0.0), MATRIX) == pytest.approx(error, abs=0.02)
    assert disparity_offset(steps(error, noise=0.3), MATRIX) == pytest.approx(error, abs=0.15)


def test_nothing_to_go_by_leaves_the_calibration_as_it_is() -> None:
    assert disparity_offset([], MATRIX) == 0
    assert disparity_offset([DepthMatches(np.empty((0, 2)), np.empty(0), np.empty((0, 2)), 0)], MATRIX) == 0


def test_shifted_disparities() -> None:
    step = DepthMatches(np.zeros((3, 2)), FOCAL_BASELINE / np.array([10.0, 4, 1]), np.zeros((3, 2)), 3, FOCAL_BASELINE)
    np.testing.assert_allclose(FOCAL_BASELINE / shift_disparities(step, -2.0).depths, [8, 2, 0.5])
