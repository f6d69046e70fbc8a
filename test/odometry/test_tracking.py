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


def follow(
    tracking: Tracking, clouds: Iterable[Any], camera: Camera, stereo: bool, features: bool = False
) -> list[Estimate]:
    found = []
    for cloud in clouds:
        if features:
            tracking.take_features(cloud.stamp, cloud.features)
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


@pytest.mark.parametrize("seed", range(4))
def test_scale_is_kept_with_noise_and_wrong_matches(room: Any, seed: int) -> None:
    clouds = room.clouds(room.path(60), noise=0.5, wrong=0.05, seed=seed)
    found = follow(Tracking("mono"), clouds, room.camera, stereo=False)
    assert len(found) == len(clouds) and drift(found, clouds, free_scale=True) < 2
    steps = np.linalg.norm(np.diff([one.pose[:3, 3] for one in found], axis=0), axis=1)
    assert np.median(steps[-20:]) == pytest.approx(np.median(steps[:30]), rel=0.1)  # the true speed is constant


@pytest.mark.parametrize("seed", range(3))
def test_path_of_a_well_rectified_pair_is_as_long_as_it_is(wide: Any, seed: int) -> None:
    clouds = wide.clouds(wide.path(60, step=0.1), noise=0.5, disparity_noise=0.3, seed=seed)
    found = follow(Tracking("stereo"), clouds, wide.camera, stereo=True)
    length = sum(np.linalg.norm(one.pose[:3, 3] - last.pose[:3, 3]) for last, one in zip(found[::5], found[5::5]))
    truth = sum(np.linalg.norm(one.pose[:3, 3] - last.pose[:3, 3]) for last, one in zip(clouds[::5], clouds[5::5]))
    assert length == pytest.approx(truth, rel=0.003)


@pytest.mark.parametrize("seed", range(3))
def test_mono_goes_straight_on_with_little_parallax(room: Any, seed: int) -> None:
    poses = np.tile(np.eye(4), (60, 1, 1))
    poses[:, 2, 3] = 0.03 * np.arange(60)
    clouds = room.clouds(poses, noise=0.3, seed=seed)
    found = follow(Tracking("mono"), clouds, room.camera, stereo=False)
    assert found[-1].stamp == clouds[-1].stamp and drift(found, clouds, free_scale=True) < 4


@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_mono_waits_for_the_camera_to_move(room: Any, turn: float) -> None:
    tracking = Tracking("mono")
    still = room.path(30, step=0.0, turn=turn)
    clouds = room.clouds(np.concatenate([still, still[-1] @ room.path(50)]), noise=0.2)
    assert follow(tracking, clouds[:30], room.camera, stereo=False) == [] and not tracking.started
    found = follow(tracking, clouds[30:], room.camera, stereo=False)
    assert tracking.started and found[-1].stamp == clouds[-1].stamp
    assert drift(found, clouds, free_scale=True) < 2


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_standing_still_and_turning_on_the_spot_move_nothing(room: Any, stereo: bool, turn: float) -> None:
    poses = room.path(40)
    poses = np.concatenate([poses, poses[-1] @ room.path(20, step=0.0, turn=turn)])
    poses = np.concatenate([poses, poses[-1] @ room.path(20)])
    clouds = room.clouds(poses, noise=0.3, disparity_noise=0.3 if stereo else 0.0)
    found = follow(Tracking("stereo" if stereo else "mono"), clouds, room.camera, stereo)
    assert found[-1].stamp == clouds[-1].stamp and not any(one.problem for one in found)
    assert drift(found, clouds, free_scale=not stereo) < 2
    moved = np.linalg.norm(found[-22].pose[:3, 3] - found[-40].pose[:3, 3])
    assert moved < 0.02 * np.linalg.norm(found[-1].pose[:3, 3] - found[0].pose[:3, 3])


@pytest.mark.parametrize("stereo", [False, True])
def test_a_jump_is_followed(room: Any, stereo: bool) -> None:
    poses = room.path(60)
    poses[40:, :3, 3] += [0.4, 0.1, 0.2]
    clouds = room.clouds(poses, noise=0.3)
    found = follow(Tracking("stereo" if stereo else "mono"), clouds, room.camera, stereo)
    assert not any(one.problem for one in found) and drift(found, clouds, free_scale=not stereo) < 2


@pytest.mark.parametrize("stereo", [False, True])
def test_lost_and_late_clouds_do_little_harm(room: Any, stereo: bool) -> None:
    clouds = room.clouds(room.path(60))
    tracking = Tracking("stereo" if stereo else "mono")
    sent = [*clouds[:35], *clouds[36:40], clouds[38], *clouds[40:50], *clouds[52:]]
    found = follow(tracking, sent, room.camera, stereo)
    assert len(found) == len(sent) - 1 and tracking.late == 1 + stereo
    assert drift(found, clouds, free_scale=not stereo) < 1 and not any(one.problem for one in found)


def forget(clouds: list[Any], first: int, empty: int) -> list[Any]:
    """Clouds of which some have no matches, as where a hand is before the camera; later tracks are new ones."""
    changed = []
    for index, cloud in enumerate(clouds[first:]):
        new = [each.copy() for each in (cloud.matches, cloud.stereo, cloud.features)]
        for points in new:
            points["track_id"] += 10_000
        kept = [each[: 0 if index < empty else None] for each in new]
        if index == empty:  # the first whose predecessor has features, which has no matches itself
            kept[0] = kept[0][:0]
        changed.append(replace(cloud, matches=kept[0], stereo=kept[1], features=kept[2]))
    return [*clouds[:first], *changed]


@pytest.mark.parametrize("stereo", [False, True])
def test_landmarks_are_found_again_after_a_lost_second(room: Any, stereo: bool) -> None:
    clouds = forget(room.clouds(room.path(80, turn=0.3), noise=0.3), 40, empty=10)
    found = follow(Tracking("stereo" if stereo else "mono"), clouds, room.camera, stereo, features=True)
    guessed = [index for index, one in enumerate(found) if one.problem]
    # A frame without matches has no track to find again, but its stereo points are tracks.
    assert len(found) == 80 and guessed == list(range(40, 50 if stereo else 51))
    assert "only 0 landmarks are seen" in found[41].problem
    assert drift(found, clouds, free_scale=not stereo) < 2


def test_mono_begins_anew_where_nothing_is_found_again(room: Any) -> None:
    clouds = forget(room.clouds(room.path(100)), 40, empty=1)
    found = follow(Tracking("mono"), clouds, room.camera, stereo=False)
    assert [one.stamp for one in found] == [cloud.stamp for cloud in clouds]  # the last motion goes on
    assert all(one.problem for one in found[40:61]) and not any(one.problem for one in found[-10:])
    assert drift(found, clouds, free_scale=True) < 10


def test_stereo_begins_anew_at_once(room: Any) -> None:
    clouds = forget(room.clouds(room.path(60)), 40, empty=0)
    found = follow(Tracking("stereo"), clouds, room.camera, stereo=True)
    assert [bool(one.problem) for one in found] == [index == 40 for index in range(60)]
    assert drift(found, clouds, free_scale=False) < 0.5


def test_auto_takes_to_stereo_when_it_comes(room: Any) -> None:
    clouds = room.clouds(room.path(60))
    tracking = Tracking("auto")
    mono = follow(tracking, clouds[:40], room.camera, stereo=False)
    assert tracking.mode == "mono" and mono
    found = follow(tracking, clouds[40:], room.camera, stereo=True)
    assert tracking.mode == "stereo" and len(tracking.restarts()) == 1 and not tracking.restarts()
    np.testing.assert_allclose(found[1].pose, found[0].pose)  # the first in metres, and the last up to scale
    assert drift(found[1:], clouds, free_scale=False) < 0.1


def test_auto_goes_on_in_metres_when_stereo_stops(room: Any) -> None:
    clouds = room.clouds(room.path(70), noise=0.2)
    tracking = Tracking("auto")
    found = follow(tracking, clouds[:30], room.camera, stereo=True)  # the first matches seem to be those of one camera
    found += follow(tracking, clouds[30:55], room.camera, stereo=False)
    assert tracking.mode == "mono" and [one.stamp for one in found] == [cloud.stamp for cloud in clouds[:55]]
    assert len(tracking.restarts()) == 1 and not any(one.problem for one in found)
    assert drift(found, clouds, free_scale=False) < 1
    found = follow(tracking, clouds[55:], room.camera, stereo=True)
    assert tracking.mode == "stereo" and len(tracking.restarts()) == 1
    assert drift(found[1:], clouds, free_scale=False) < 1


def test_landmarks_and_keyframes_are_where_they_are(room: Any) -> None:
    tracking = Tracking("stereo")
    assert tracking.keyframe is None and len(tracking.keyframes()) == len(tracking.landmarks()[0]) == 0
    clouds = room.clouds(room.path(20))
    follow(tracking, clouds, room.camera, stereo=True)
    tracks, points = tracking.landmarks()
    np.testing.assert_allclose(points, room.points[tracks], atol=1e-3)
    [newest] = [cloud for cloud in clouds if cloud.stamp == tracking.keyframe]
    np.testing.assert_allclose(tracking.keyframes()[-1], newest.pose, atol=1e-3)


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


@pytest.mark.parametrize("seed", range(3))
def test_stereo_starts_where_most_of_the_first_stereo_matches_are_wrong(room: Any, seed: int) -> None:
    clouds = room.clouds(room.path(20, step=0.15), noise=0.3, disparity_noise=0.3, seed=seed)
    rng = np.random.default_rng(seed)
    for cloud in clouds[:1]:
        wrong = rng.random(len(cloud.stereo)) < 0.6
        cloud.stereo["z"][wrong] *= rng.uniform(0.3, 0.7, wrong.sum()).astype(np.float32)
        cloud.stereo["disparity"] = 400 * room.baseline / cloud.stereo["z"]
    found = follow(Tracking("stereo"), clouds, room.camera, stereo=True)
    assert len(found) == 20 and not any(one.problem for one in found)
    assert drift(found, clouds, free_scale=False) < 5
