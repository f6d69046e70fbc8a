"""Both estimators as the node uses them: clouds in, poses out, whatever happens to the clouds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from silk_ros.geometry.camera import Camera
from silk_ros.geometry.trajectory import end_drift, start_at
from silk_ros.odometry.estimate import Estimate
from silk_ros.odometry.observations import observations_of
from silk_ros.odometry.tracking import Tracking
from silk_ros.odometry.window import NEAR


def follow(tracking: Tracking, clouds: Iterable[Any], camera: Camera, stereo: bool) -> list[Estimate]:
    found = []
    for cloud in clouds:
        found += tracking.process("matches", cloud.stamp, cloud.matches, camera)
        if stereo:
            found += tracking.process("stereo", cloud.stamp, cloud.stereo, camera)
    return found


def drift(found: list[Estimate], clouds: Iterable[Any], free_scale: bool) -> float:
    """% of the path between the ends, after the first poses are made the same, and the scale if that is free."""
    true_poses = {cloud.stamp: cloud.pose for cloud in clouds}
    estimate = np.array([one.pose for one in found])
    truth = np.array([true_poses[one.stamp] for one in found])
    return end_drift(start_at(estimate, truth, free_scale), truth)


def test_stereo_is_metric_and_mono_right_up_to_scale(room: Any) -> None:
    clouds = room.clouds(room.path(60))
    stereo = follow(Tracking("stereo"), clouds, room.camera, stereo=True)
    assert [one.stamp for one in stereo] == [cloud.stamp for cloud in clouds]
    assert drift(stereo, clouds, free_scale=False) < 0.1 and not any(one.problem for one in stereo)
    mono = follow(Tracking("mono"), clouds, room.camera, stereo=False)
    assert [one.stamp for one in mono] == [cloud.stamp for cloud in clouds]
    assert drift(mono, clouds, free_scale=True) < 1.5 and not any(one.problem for one in mono)


def test_scale_is_kept_with_noise_and_wrong_matches(room: Any) -> None:
    clouds = room.clouds(room.path(120), noise=0.5, wrong=0.05)
    found = follow(Tracking("mono"), clouds, room.camera, stereo=False)
    assert len(found) == len(clouds) and drift(found, clouds, free_scale=True) < 6
    steps = np.linalg.norm(np.diff([one.pose[:3, 3] for one in found], axis=0), axis=1)
    assert np.median(steps[-20:]) == pytest.approx(np.median(steps[:40]), rel=0.25)  # the true speed is constant


def test_mono_waits_for_the_camera_to_move(room: Any) -> None:
    tracking = Tracking("mono")
    clouds = room.clouds(np.concatenate([np.tile(np.eye(4), (70, 1, 1)), room.path(60)]), noise=0.2)
    assert follow(tracking, clouds[:70], room.camera, stereo=False) == [] and not tracking.started
    found = follow(tracking, clouds[70:], room.camera, stereo=False)
    assert tracking.started and found[-1].stamp == clouds[-1].stamp
    assert drift(found, clouds, free_scale=True) < 3


@pytest.mark.parametrize("stereo", [False, True])
def test_lost_and_late_clouds_do_little_harm(room: Any, stereo: bool) -> None:
    clouds = room.clouds(room.path(60))
    tracking = Tracking("stereo" if stereo else "mono")
    sent = [*clouds[:35], *clouds[36:40], clouds[38], *clouds[40:50], *clouds[52:]]
    found = follow(tracking, sent, room.camera, stereo)
    assert len(found) == len(sent) - 1 and tracking.late == 1 + stereo
    assert drift(found, clouds, free_scale=not stereo) < 3
    assert sum(bool(one.problem) for one in found) == (2 if stereo else 0)


@pytest.mark.parametrize("stereo", [False, True])
def test_where_nothing_matches_the_last_motion_goes_on(room: Any, stereo: bool) -> None:
    clouds = room.clouds(room.path(60))
    clouds[40] = replace(clouds[40], matches=clouds[40].matches[:0])  # as after a reset of the front-end
    for cloud in clouds[41:]:
        cloud.matches["track_id"] += 10_000
    found = follow(Tracking("stereo" if stereo else "mono"), clouds, room.camera, stereo)
    assert [bool(one.problem) for one in found] == [index == 40 for index in range(60)]
    assert drift(found, clouds, free_scale=not stereo) < (0.5 if stereo else 10)


def test_auto_takes_to_stereo_when_it_comes(room: Any) -> None:
    clouds = room.clouds(room.path(60))
    tracking = Tracking("auto")
    mono = follow(tracking, clouds[:40], room.camera, stereo=False)
    assert tracking.mode == "mono" and mono
    found = follow(tracking, clouds[40:], room.camera, stereo=True)
    assert tracking.mode == "stereo" and len(tracking.restarts()) == 1 and not tracking.restarts()
    np.testing.assert_allclose(found[1].pose, found[0].pose)  # the first in metres, and the last up to scale
    assert drift(found[1:], clouds, free_scale=False) < 0.1


@pytest.mark.parametrize("change", ["clock", "camera"])
def test_a_new_beginning_goes_on_from_the_last_pose(room: Any, change: str) -> None:
    tracking = Tracking("stereo")
    before = follow(tracking, room.clouds(room.path(10), first_stamp=10**12), room.camera, stereo=True)
    camera, start = room.camera, 10**9
    if change == "camera":
        camera, start = replace(camera, matrix=camera.matrix * [[1.01], [1], [1]]), 2 * 10**12
    after = follow(tracking, room.clouds(room.path(5), first_stamp=start), camera, stereo=True)
    assert len(after) == 5 and len(tracking.restarts()) == 1
    np.testing.assert_allclose(after[0].pose, before[-1].pose)


def test_stereo_pairs_clouds_in_any_order(room: Any) -> None:
    clouds = room.clouds(room.path(12))
    tracking, found = Tracking("stereo"), []
    for first, second in zip(clouds[::2], clouds[1::2]):
        for kind, cloud in (("stereo", first), ("stereo", second), ("matches", first), ("matches", second)):
            points = cloud.matches if kind == "matches" else cloud.stereo
            found += tracking.process(kind, cloud.stamp, points, room.camera)
    assert len(found) == 12 and drift(found, clouds, free_scale=False) < 0.1


def spoil(points: np.ndarray, names: tuple[str, ...], value: float) -> np.ndarray:
    spoilt = points.copy()
    for name in names:
        spoilt[name][::3] = value
    return spoilt


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_impossible_points_are_left_out(room: Any, value: float) -> None:
    clouds = [
        replace(cloud, matches=spoil(cloud.matches, ("u", "v_prev"), value), stereo=spoil(cloud.stereo, ("z",), np.nan))
        for cloud in room.clouds(room.path(40))
    ]
    assert len(observations_of(1, clouds[5].matches, room.camera)[0]) == pytest.approx(
        2 / 3 * len(clouds[5].matches), 2
    )
    stereo = follow(Tracking("stereo"), clouds, room.camera, stereo=True)
    mono = follow(Tracking("mono"), clouds, room.camera, stereo=False)
    assert drift(stereo, clouds, free_scale=False) < 0.1 and drift(mono, clouds, free_scale=True) < 3


@pytest.mark.parametrize("kind", ["matches", "stereo"])
def test_another_cloud_is_named(room: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=r"lacks .*: check the remapping"):
        Tracking("stereo").process(kind, 1, np.zeros(3, [("x", "<f4"), ("y", "<f4")]), room.camera)


def misrectified(cloud: Any, pixels: float) -> Any:
    """A cloud whose disparities are all too small by so many pixels."""
    stereo = cloud.stereo.copy()
    product = stereo["z"] * stereo["disparity"]
    stereo["disparity"] -= pixels
    stereo["z"] = product / stereo["disparity"]
    return replace(cloud, stereo=stereo)


def test_an_offset_of_the_disparities_is_made_good(room: Any) -> None:
    clouds = [misrectified(cloud, 1.5) for cloud in room.clouds(room.path(30))]
    drifts = [
        drift(follow(Tracking("stereo", offset), clouds, room.camera, stereo=True), clouds, free_scale=False)
        for offset in (1.5, 0.0)
    ]
    assert drifts[0] < 0.2 < 3 < drifts[1]


def test_far_points_of_a_misrectified_pair_do_not_mislead(hall: Any) -> None:
    poses = np.tile(np.eye(4), (15, 1, 1))
    poses[:, 2, 3] = 0.3 * np.arange(15)  # straight on
    clouds = [misrectified(cloud, 0.5) for cloud in hall.clouds(poses, noise=0.3)]
    found = follow(Tracking("stereo"), clouds, hall.camera, stereo=True)
    assert np.mean(clouds[0].stereo["z"] > NEAR * hall.baseline) > 0.9
    at_bound = 100 * 0.5 / (hall.camera.matrix[0, 0] / NEAR)  # %, by which a point there seems too far away
    assert drift(found, clouds, free_scale=False) < at_bound
