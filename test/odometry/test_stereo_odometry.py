from typing import Any

import numpy as np
import pytest

from silk_ros.geometry.pnp import DepthMatches
from silk_ros.odometry.stereo_odometry import far_points


@pytest.mark.parametrize(
    "depths, far",
    [
        (np.arange(1.0, 301.0), np.arange(1.0, 301.0) > 100),  # none is near: the nearest hundred are
        (np.linspace(0.1, 10.5, 300), np.linspace(0.1, 10.5, 300) > 7.0),  # 35 baselines of 0.2 m
        (np.full(50, 1e3), np.zeros(50, bool)),
        (np.empty(0), np.empty(0, bool)),
    ],
)
def test_near_points_are_within_35_baselines_or_the_nearest_hundred(
    room: Any, depths: np.ndarray, far: np.ndarray
) -> None:
    pixels = np.zeros((len(depths), 2))
    step = DepthMatches(pixels, depths, pixels, len(depths), room.camera.matrix[0, 0] * room.baseline)
    np.testing.assert_array_equal(far_points(step, room.camera.matrix), far)
