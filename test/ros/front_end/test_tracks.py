from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from std_msgs.msg import Header

from silk_ros import Features
from silk_ros.refinement import Patches
from silk_ros.ros.front_end.tracks import Observations, TrackMessages
from silk_ros.step import Frame
from silk_ros.tracker import TrackRules, Tracks

SECOND = 10**9
NAMES = ["id", "u", "v", "velocity_x", "velocity_y"]


def frame(ids: list[int], ages: list[int], stamp: int = 0) -> Frame:
    count = len(ids)
    pixels = np.column_stack([np.arange(count) * 10.0, np.arange(count) + 100.0])
    features = Features(pixels, np.linspace(1, 0.5, count), np.zeros((count, 2)))
    return Frame(
        Patches(np.zeros((1, 1), np.uint8)), stamp, features, Tracks(np.array(ids, "u4"), np.array(ages, "u4"))
    )


def rays(*xy: tuple[float, float]) -> NDArray[np.float32]:
    return np.column_stack([np.array(xy, np.float32), np.ones(len(xy), np.float32)])


def channels(message: object) -> dict[str, list[float]]:
    return {channel.name: list(channel.values) for channel in message.channels}


def test_points_are_rays_and_channels_come_in_the_order_that_vins_reads() -> None:
    header = Header(frame_id="camera")
    message = TrackMessages(TrackRules()).message(header, frame([7, 8], [2, 5]), rays((0.1, 0.2), (-0.3, 0.4)))
    assert message.header == header
    assert [(point.x, point.y, point.z) for point in message.points] == pytest.approx(
        [pytest.approx((0.1, 0.2, 1)), pytest.approx((-0.3, 0.4, 1))]
    )
    assert [channel.name for channel in message.channels] == NAMES
    assert channels(message) == {
        "id": [7, 8],
        "u": [0, 10],
        "v": [100, 101],
        "velocity_x": [0, 0],
        "velocity_y": [0, 0],
    }


def test_velocities_are_of_the_same_track_over_the_time_between() -> None:
    messages = TrackMessages(TrackRules(min_age=1))
    messages.message(Header(), frame([5, 3, 9], [1, 1, 1], SECOND), rays((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)))
    sent = messages.message(
        Header(), frame([3, 9, 12], [2, 2, 1], SECOND + SECOND // 10), rays((0.6, 0.5), (1.0, 0.8), (0.0, 0.0))
    )
    assert channels(sent)["velocity_x"] == pytest.approx([1.0, 0.0, 0.0], abs=1e-5)
    assert channels(sent)["velocity_y"] == pytest.approx([0.0, -2.0, 0.0], abs=1e-5)


def test_no_time_between_is_no_velocity() -> None:
    messages = TrackMessages(TrackRules(min_age=1))
    for _ in range(2):
        sent = messages.message(Header(), frame([5], [3], SECOND), rays((0.1, 0.1)))
    assert channels(sent)["velocity_x"] == [0]


def test_young_tracks_wait_and_the_oldest_come_first() -> None:
    ids, ages = [10, 11, 12, 13, 14], [1, 9, 2, 5, 9]
    for most, expected in ((0, [11, 12, 13, 14]), (3, [11, 13, 14])):
        sent = TrackMessages(TrackRules(2, most)).message(Header(), frame(ids, ages), rays(*[(0, 0)] * 5))
        assert channels(sent)["id"] == expected


def test_tracks_keep_their_distance_and_the_older_one_stays() -> None:
    rules = TrackRules(min_age=1, max_count=3, min_distance=15.0)  # the points are 10 pixels apart
    ids, here = [10, 11, 12, 13, 14, 15, 16], rays(*[(0, 0)] * 7)
    sent = TrackMessages(rules).message(Header(), frame(ids, [1, 9, 2, 8, 3, 7, 6]), here)
    assert channels(sent)["id"] == [11, 13, 15]
    alone = TrackMessages(rules).message(Header(), frame(ids, [1, 2, 9, 3, 1, 1, 1]), here)
    assert channels(alone)["id"] == [10, 12, 14]


def ids_of(messages: TrackMessages, ids: list[int], ages: list[int], *gone: int) -> list[int]:
    """The ids that are sent of tracks 10 pixels apart, of which those at the places `gone` have no ray."""
    seen = rays(*[(np.nan, np.nan) if place in gone else (0, 0) for place in range(len(ids))])
    return channels(messages.message(Header(), frame(ids, ages), seen))["id"]


def test_a_track_that_was_sent_is_sent_again_before_older_ones() -> None:
    messages = TrackMessages(TrackRules(min_age=1, max_count=2, min_distance=15.0))
    assert ids_of(messages, [1, 2, 3], [5, 1, 4]) == [1, 3]
    assert ids_of(messages, [1, 9, 3], [6, 8, 5]) == [1, 3]  # 9 was bridged: it is older, and between them
    assert ids_of(messages, [7, 9, 8], [1, 9, 1]) == [9]


def test_a_track_that_was_left_out_never_comes_back() -> None:
    """VINS takes the n-th observation of an id for that of the n-th message since its first."""
    messages = TrackMessages(TrackRules(min_age=1, max_count=3))
    assert ids_of(messages, [1, 2, 3], [5, 5, 5]) == [1, 2, 3]
    assert ids_of(messages, [1, 4, 3], [6, 1, 6], 2) == [1, 4]  # 2 is not seen, 3 has no ray
    assert ids_of(messages, [1, 2, 3], [7, 7, 7]) == [1]  # 2 is bridged
    assert ids_of(messages, [5, 2, 3], [2, 8, 8]) == [5]


def test_a_camera_id_stands_behind_the_id() -> None:
    sent = TrackMessages(TrackRules(1, 0, camera_id=1)).message(Header(), frame([4, 5], [1, 1]), rays((0, 0), (0, 0)))
    assert [channel.name for channel in sent.channels] == ["id", "camera_id", *NAMES[1:]]
    assert channels(sent)["camera_id"] == [1, 1]


def test_ids_stay_exact_in_float32() -> None:
    sent = TrackMessages(TrackRules(1)).message(Header(), frame([2**24 + 1, 2**24 - 1], [1, 1]), rays((0, 0), (0, 0)))
    assert channels(sent)["id"] == [1, 2**24 - 1]


def test_a_frame_without_tracks_is_an_empty_message() -> None:
    sent = TrackMessages(TrackRules()).message(Header(), frame([], []), np.empty((0, 3), np.float32))
    assert len(sent.points) == 0 and channels(sent) == {name: [] for name in NAMES}


def test_right_camera_follows_with_the_next_camera_id_and_the_same_ids() -> None:
    right = Observations(
        np.array([9, 8, 3], "u4"), np.array([[1, 2], [3, 4], [5, 6]], "f4"), rays((1, 1), (2, 2), (3, 3))
    )
    messages = TrackMessages(TrackRules(camera_id=0))
    first = channels(messages.message(Header(), frame([7, 8, 9], [2, 5, 1]), rays((0, 0), (0, 0), (0, 0)), right))
    assert (first["id"], first["camera_id"]) == ([7, 8, 8], [0, 0, 1])  # 9 is too young, 3 not of this frame
    assert (first["u"][2], first["v"][2], first["velocity_x"][2]) == (3, 4, 0)
    moved = right._replace(rays=rays((1, 1), (2.5, 1), (3, 3)))
    second = messages.message(Header(), frame([7, 8, 9], [3, 6, 2], SECOND // 2), rays((0, 0), (0, 0), (0, 0)), moved)
    seen = channels(second)
    assert (seen["id"], seen["camera_id"]) == ([7, 8, 9, 9, 8], [0, 0, 0, 1, 1])
    assert (seen["velocity_x"][4], seen["velocity_y"][4]) == (1, -2)
    assert (second.points[4].x, second.points[4].y, second.points[4].z) == (2.5, 1, 1)


def test_right_camera_is_left_out_without_a_camera_id() -> None:
    right = Observations(np.array([7], "u4"), np.zeros((1, 2), "f4"), rays((1, 1)))
    message = TrackMessages(TrackRules()).message(Header(), frame([7], [2]), rays((0, 0)), right)
    assert [channel.name for channel in message.channels] == NAMES and len(message.points) == 1


def test_tracks_without_a_ray_are_not_sent_and_have_no_velocity() -> None:
    """A track that leaves the part of the image with rays, and comes back."""
    none = (np.nan, np.nan)
    messages = TrackMessages(TrackRules(min_age=1, max_count=2))
    sent = messages.message(Header(), frame([1, 2, 3], [9, 8, 7], SECOND), rays(none, (0.1, 0.0), (0.2, 0.0)))
    assert channels(sent)["id"] == [2, 3]  # the oldest of those with a ray
    seen = rays((0.5, 0.5), none, (0.3, 0.0))
    sent = messages.message(Header(), frame([1, 2, 3], [10, 9, 8], 2 * SECOND), seen)
    assert channels(sent)["id"] == [1, 3]
    assert channels(sent)["velocity_x"] == pytest.approx([0.0, 0.1])
    assert all(np.isfinite(values).all() for values in channels(sent).values())


def test_no_velocity_is_infinite() -> None:
    messages = TrackMessages(TrackRules(min_age=1))
    messages.message(Header(), frame([1], [1], SECOND), rays((-3e38, 0.0)))
    sent = messages.message(Header(), frame([1], [2], SECOND + 1), rays((3e38, 1.0)))
    assert channels(sent)["velocity_x"] == [0.0]


def test_the_right_camera_sends_no_track_without_a_ray() -> None:
    messages = TrackMessages(TrackRules(min_age=1, camera_id=0))
    right = Observations(np.array([7, 8], "u4"), np.zeros((2, 2), "f4"), rays((np.nan, np.nan), (0.1, 0.1)))
    sent = messages.message(Header(), frame([7, 8], [3, 3]), rays((0.0, 0.0), (0.2, 0.2)), right)
    assert channels(sent)["id"] == [7, 8, 8] and channels(sent)["camera_id"] == [0, 0, 1]
    assert all(np.isfinite([point.x, point.y, point.z]).all() for point in sent.points)
