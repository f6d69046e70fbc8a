from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from silk_ros.odometry.landmarks import COUNT, LEAST_ANGLE, new_landmarks, triangulate
from silk_ros.odometry.observations import NO_TRACKS
from silk_ros.odometry.window import GONE, KEYFRAMES, Window

NONE = NO_TRACKS, NO_TRACKS, np.empty((0, 3))


def window_of(room: Any, tracks: np.ndarray, poses: np.ndarray, noise: float = 0.0, seed: int = 1) -> Window:
    """The first two keyframes, whose distance is known, and landmarks at tracks."""
    window = Window(400.0)
    window.add(room.seen(poses[0], tracks, noise=noise, seed=seed), poses[0], *NONE)
    distance = float(np.linalg.norm(poses[1][:3, 3] - poses[0][:3, 3]))
    seen = room.seen(poses[1], tracks, noise=noise, seed=seed + 1)
    window.add(seen, poses[1], NO_TRACKS, *new_landmarks(window, seen, poses[1], NO_TRACKS), distance)
    window.settle()
    return window


@pytest.mark.parametrize("seed", range(3))
def test_rough_poses_become_exact(room: Any, seed: int) -> None:
    tracks, poses = room.ahead(200), room.path(9)[::4]
    window = window_of(room, tracks, poses)
    rough = poses[2].copy()
    rough[:3, 3] += np.random.default_rng(seed).normal(0, 0.03, 3)
    window.add(room.seen(poses[2], tracks), rough, window.tracks, NO_TRACKS, np.empty((0, 3)))
    window.settle()
    np.testing.assert_allclose(window.newest.pose, poses[2], atol=1e-4)
    np.testing.assert_allclose(window.points, room.points[window.tracks], atol=1e-2)


def test_covariance_tells_the_error(room: Any) -> None:
    tracks, poses = room.ahead(300), room.path(9)[::4]
    ratios = []
    for seed in range(20):
        window = window_of(room, tracks, poses, noise=0.5, seed=3 * seed)
        seen = room.seen(poses[2], tracks, noise=0.5, seed=3 * seed + 2)
        window.add(seen, poses[2], window.tracks, NO_TRACKS, np.empty((0, 3)))
        window.settle()
        covariance = window.covariance()
        assert covariance is not None
        error = poses[2][:3, :3].T @ (window.newest.pose[:3, 3] - poses[2][:3, 3])
        ratios.append(error @ np.linalg.solve(covariance[3:, 3:], error))
    assert 1 < np.mean(ratios) < 9  # 3 is expected of three coordinates


def test_a_landmark_that_does_not_fit_is_given_up_and_does_not_come_back(room: Any) -> None:
    tracks, poses = room.ahead(200), room.path(9)[::4]
    window = window_of(room, tracks, poses)
    wrong = window.tracks[3]
    seen = room.seen(poses[2], tracks)
    rays = seen.rays.copy()
    rays[seen.find(np.array([wrong]))] += 3 * GONE / 400
    seen = replace(seen, rays=rays)
    window.add(seen, poses[2], window.tracks[window.tracks != wrong], NO_TRACKS, np.empty((0, 3)))
    assert wrong not in window.tracks and window.gone.tolist() == [wrong]
    assert wrong not in new_landmarks(window, seen, poses[2], NO_TRACKS)[0]
    np.testing.assert_allclose(window.newest.pose, poses[2], atol=1e-3)


def test_old_keyframes_and_landmarks_leave(room: Any) -> None:
    tracks, poses = room.ahead(200), room.path(30)[::2]
    window = window_of(room, tracks[:100], poses)
    for pose in poses[2:]:
        seen = room.seen(pose, tracks[100:])  # the first landmarks are seen no more
        agree = window.tracks[np.isin(window.tracks, tracks[100:])]
        window.add(seen, pose, agree, *new_landmarks(window, seen, pose, agree))
    assert len(window.keyframes) <= KEYFRAMES + 1 and window.number in window.keyframes
    assert len(window.tracks) and set(window.tracks.tolist()) <= set(tracks[100:].tolist())


def test_new_landmarks_are_spread_over_the_image_and_limited(room: Any) -> None:
    tracks, poses = room.ahead(1000), room.path(6)[::5]
    window = Window(400.0)
    window.add(room.seen(poses[0], tracks), poses[0], *NONE)
    found, points = new_landmarks(window, room.seen(poses[1], tracks), poses[1], NO_TRACKS)
    assert len(found) == COUNT and (np.diff(found) > 0).all()
    np.testing.assert_allclose(points, room.points[found], atol=0.01)
    quarters = room.seen(poses[0], found).rays > 0
    counts = np.unique(quarters, axis=0, return_counts=True)[1]
    assert len(counts) == 4 and counts.min() > COUNT / 8
    agree = found[:20]
    assert len(new_landmarks(window, room.seen(poses[1], tracks), poses[1], agree)[0]) == COUNT - 20


def test_points_without_parallax_are_no_landmarks(room: Any) -> None:
    tracks, pose = room.ahead(200), np.eye(4)
    pose[0, 3] = 4 * np.radians(LEAST_ANGLE) / 2  # the wall is 4 m away
    window = Window(400.0)
    window.add(room.seen(np.eye(4), tracks), np.eye(4), *NONE)
    assert not len(new_landmarks(window, room.seen(pose, tracks), pose, NO_TRACKS)[0])
    points, angles = triangulate(np.eye(4), pose, room.seen(np.eye(4), tracks).rays, room.seen(pose, tracks).rays)
    np.testing.assert_allclose(points, room.points[tracks], atol=1e-6)
    assert 0 < angles.max() < LEAST_ANGLE
