from __future__ import annotations

import numpy as np

from silk_ros import Matches
from silk_ros.tracker import Tracker


def matches(*pairs: tuple[int, int]) -> Matches:
    return Matches(np.array(pairs).reshape(-1, 2), np.ones(len(pairs)))


def test_the_first_frame_gets_fresh_ids() -> None:
    ids = Tracker().update(Matches.empty(), 4).ids
    assert ids.dtype == np.uint32
    assert len(set(ids.tolist())) == 4


def test_a_match_inherits_and_the_rest_is_fresh() -> None:
    tracker = Tracker()
    first = tracker.update(Matches.empty(), 3).ids
    second = tracker.update(matches((0, 2), (3, 0)), 4).ids
    assert (second[0], second[3]) == (first[2], first[0])
    assert not set(second[[1, 2]].tolist()) & set(first.tolist())
    assert len(set(second.tolist())) == 4


def test_a_lost_id_never_comes_back() -> None:
    tracker, seen = Tracker(), set()
    for _ in range(5):
        ids = set(tracker.update(Matches.empty(), 10).ids.tolist())
        assert len(ids) == 10 and not ids & seen
        seen |= ids


def test_a_track_lives_through_many_frames() -> None:
    tracker = Tracker()
    start = tracker.update(Matches.empty(), 5).ids[4]
    for _ in range(10):
        ids = tracker.update(matches((4, 4)), 5).ids
    assert ids[4] == start


def test_a_frame_without_keypoints_ends_all_tracks() -> None:
    tracker = Tracker()
    before = tracker.update(Matches.empty(), 3).ids
    assert len(tracker.update(Matches.empty(), 0)) == 0
    assert not set(tracker.update(Matches.empty(), 3).ids.tolist()) & set(before.tolist())


def test_forgetting_does_not_reuse_ids() -> None:
    tracker = Tracker()
    before = tracker.update(Matches.empty(), 3).ids
    tracker.forget()
    assert not set(tracker.update(Matches.empty(), 3).ids.tolist()) & set(before.tolist())


def test_ids_wrap_around_at_32_bits() -> None:
    tracker = Tracker()
    tracker._ids._next = 2**32 - 2  # four billion tracks later
    assert tracker.update(Matches.empty(), 4).ids.tolist() == [2**32 - 2, 2**32 - 1, 0, 1]
    assert tracker.update(matches((0, 0)), 2).ids.tolist() == [2**32 - 2, 2]


def test_ages_count_the_frames_that_a_track_was_seen_in() -> None:
    tracker = Tracker()
    assert tracker.update(Matches.empty(), 3).ages.tolist() == [1, 1, 1]
    assert tracker.update(matches((0, 2), (3, 0)), 4).ages.tolist() == [2, 1, 1, 2]
    assert tracker.update(matches((1, 3)), 2).ages.tolist() == [1, 3]


def test_a_track_that_was_not_seen_once_can_be_taken_up_again() -> None:
    tracker = Tracker()
    first = tracker.update(Matches.empty(), 3)
    tracker.update(matches((0, 1)), 2)
    assert tracker.lost_rows.tolist() == [0, 2] and tracker.lost.ids.tolist() == first.ids[[0, 2]].tolist()
    third = tracker.update(matches((1, 0)), 3, bridges=matches((2, 1)))
    assert third.ids[2] == first.ids[2] and third.ages.tolist() == [1, 3, 2]
    # What was bridged is not lost again, and what was not is gone.
    assert tracker.lost_rows.tolist() == [1]


def test_what_is_forgotten_cannot_be_taken_up_again() -> None:
    tracker = Tracker()
    tracker.update(Matches.empty(), 3)
    tracker.update(Matches.empty(), 3)
    tracker.forget()
    assert len(tracker.lost) == 0 and len(tracker.lost_rows) == 0
