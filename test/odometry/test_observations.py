from typing import Any

import numpy as np
import pytest

from silk_ros.odometry.observations import (
    REFINED,
    UNREFINED,
    WIDEST,
    SeenTracks,
    observations_of,
    stereo_observations,
)


def some(tracks: list[int], disparities: list[float] | None = None) -> SeenTracks:
    """Tracks whose rays are their ids."""
    ids, count = np.array(tracks, np.int64), len(tracks)
    values = np.full(count, np.nan) if disparities is None else np.array(disparities)
    return SeenTracks(7, ids, np.stack([ids, -ids], axis=1).astype(float), np.ones(count), values, values / 10, 80.0)


def test_tracks_are_found_by_their_ids() -> None:
    assert some([2, 5, 9]).find(np.array([9, 1, 5, 10])).tolist() == [2, -1, 1, -1]
    assert some([]).find(np.array([3])).tolist() == [-1]


def test_joined_observations_are_ordered_and_the_first_ones_hold() -> None:
    both = some([2, 5], [1.0, 2.0]).joined(some([1, 5], [3.0, 4.0]))
    assert both.tracks.tolist() == [1, 2, 5] and both.disparities.tolist() == [3, 1, 2]
    np.testing.assert_array_equal(both.rays[:, 0], both.tracks)


def test_stereo_adds_disparities_and_tracks() -> None:
    seen = some([2, 5, 7]).with_stereo(some([5, 8], [3.0, 4.0]))
    assert seen.tracks.tolist() == [2, 5, 7, 8]
    np.testing.assert_array_equal(seen.disparities, [np.nan, 3, np.nan, 4])
    np.testing.assert_allclose(seen.disparity_noise, [np.nan, 0.3, np.nan, 0.4])
    assert some([]).with_stereo(some([5], [3.0])).tracks.tolist() == [5]
    assert some([2]).with_stereo(some([])).tracks.tolist() == [2]


def test_renamed_tracks_keep_what_was_seen() -> None:
    renamed = some([2, 5, 9]).renamed(np.array([5, 6]), np.array([30, 40]))
    assert renamed.tracks.tolist() == [2, 9, 30] and renamed.rays[:, 0].tolist() == [2, 9, 5]


def test_matches_are_seen_in_both_frames_with_their_noise(room: Any) -> None:
    cloud = room.clouds(room.path(2))[1]
    dtype = np.dtype([*cloud.matches.dtype.descr, ("refined", "u1")])
    matches = np.zeros(len(cloud.matches), dtype)
    for name in cloud.matches.dtype.names:
        matches[name] = cloud.matches[name]
    matches["refined"][::2] = 1
    now, before = observations_of(cloud.stamp, matches, room.camera)
    assert (now.stamp, before.stamp) == (1_100_000_000, 10**9) and len(now) == len(before) == len(matches)
    moved = (room.points[now.tracks] - cloud.pose[:3, 3]) @ cloud.pose[:3, :3]
    np.testing.assert_allclose(now.rays, moved[:, :2] / moved[:, 2:], atol=1e-5)
    expected = np.where(matches["refined"][np.argsort(matches["track_id"])], REFINED, UNREFINED)
    np.testing.assert_array_equal(now.noise, expected)
    assert np.isnan(now.disparities).all() and np.abs(now.rays).max() < WIDEST


@pytest.mark.parametrize("offset", [0.0, 1.5])
def test_stereo_points_have_disparities_and_the_pair_a_baseline(room: Any, offset: float) -> None:
    [cloud] = room.clouds(room.path(1))
    cloud.stereo["z"][:5] = [np.nan, np.inf, 0, -1, np.nan]
    seen = stereo_observations(cloud.stamp, cloud.stereo, room.camera, offset)
    assert len(seen) == len(cloud.stereo) - 5 and seen.focal_baseline == pytest.approx(400 * room.baseline)
    depths = room.points[seen.tracks][:, 2]
    np.testing.assert_allclose(seen.disparities, seen.focal_baseline / depths + offset, rtol=1e-5)
    np.testing.assert_array_equal(seen.disparity_noise, UNREFINED)  # which the cloud does not tell


def test_an_empty_cloud_is_seen_as_nothing(room: Any) -> None:
    [cloud] = room.clouds(room.path(1))
    now, before = observations_of(5, cloud.matches, room.camera)
    assert len(now) == len(before) == before.stamp == 0
    assert stereo_observations(5, cloud.stereo[:0], room.camera).focal_baseline == 0
