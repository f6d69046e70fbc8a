from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from silk_ros.odometry.localisation import FEWEST, localise


@pytest.mark.parametrize("seed", range(5))
def test_a_pose_is_found_among_wrong_observations(room: Any, seed: int) -> None:
    tracks, pose = room.ahead(100), room.path(8)[7]
    seen = room.seen(pose, tracks, noise=0.3, seed=seed)
    rays = seen.rays.copy()
    rays[:30] += 0.2
    found = localise(replace(seen, rays=rays), tracks, room.points[tracks], 400.0)
    assert found is not None
    np.testing.assert_allclose(found[0], pose, atol=0.01)
    assert found[1].tolist() == tracks[30:].tolist() and found[2] == 100


def test_too_few_observations_give_no_pose(room: Any) -> None:
    tracks = room.ahead(60)
    points = room.points[tracks]
    assert localise(room.seen(np.eye(4), tracks[: FEWEST - 1]), tracks, points, 400.0) is None
    assert localise(room.seen(np.eye(4), tracks[:0]), tracks, points, 400.0) is None
    assert localise(room.seen(np.eye(4), tracks), tracks[:0], points[:0], 400.0) is None


def test_observations_of_other_points_give_no_pose(room: Any) -> None:
    tracks = room.ahead(60)
    shuffled = np.random.default_rng(0).permutation(room.points[tracks])
    assert localise(room.seen(np.eye(4), tracks), tracks, shuffled, 400.0) is None
