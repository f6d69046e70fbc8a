"""Streams of several cameras: each has a front-end of its own, and the watch tells them from a restarted driver."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor
from silk_ros.cameras import (
    CAMERAS,
    COUNTED,
    PATIENCE,
    SEVERAL,
    WINDOW,
    CameraFrontEnds,
    PerCamera,
    StreamWatch,
    quoted,
)
from silk_ros.front_end_options import FrontEndOptions
from silk_ros.stereo import RightImage


@pytest.fixture(scope="module")
def small() -> Extractor:
    return Extractor.load(max_keypoints=300)


def test_the_first_cameras_are_kept_and_others_find_no_room() -> None:
    made = PerCamera(list[int])
    names = [str(number) for number in range(CAMERAS + 2)]
    first = [made.of(name) for name in names]
    assert first[CAMERAS:] == [None, None]
    for _ in range(2 * PATIENCE):
        again = [made.of(name) for name in names]
        assert all(one is other for one, other in zip(first, again))
    assert len(list(made)) == CAMERAS and made.of("0", "1") is None


def test_a_camera_that_sends_no_more_makes_room_and_a_slow_one_keeps_it() -> None:
    made = PerCamera(list[int])
    first = [made.of(str(number)) for number in range(CAMERAS)]
    for _ in range(2 * PATIENCE):
        made.of("1")
    assert made.of("0") is first[0]
    assert made.of("new") is not None and made.of("1") is first[1]
    assert made.of("2") is not first[2] and len(list(made)) == CAMERAS  # it made room, and gets that of "3"
    assert made.of("3") is None is not made.of("0")


def test_a_driver_that_counts_in_the_frame_id_is_one_camera() -> None:
    made = PerCamera(list[int])
    counted = [made.of(f"frame {number}") for number in range(5 * PATIENCE)]
    assert all(each is counted[COUNTED] is not None for each in counted[COUNTED:])
    assert len(list(made)) <= CAMERAS + 1 and len(made._last) <= PATIENCE + CAMERAS + 1
    assert made.of("still") is counted[-1] and made.of("still") is not counted[-1]


def test_more_cameras_than_find_room_are_no_driver_that_counts() -> None:
    made = PerCamera(list[int])
    for _ in range(10):
        assert [made.of(str(number)) is None for number in range(COUNTED)] == [False] * CAMERAS + [True] * 12


def test_five_cameras_in_turn_are_matched_but_for_the_last(small: Extractor, photo: NDArray[np.uint8]) -> None:
    front_ends = CameraFrontEnds(small)
    ids: set[int] = set()
    for stamp in range(1, 4):
        for number in range(CAMERAS + 1):
            step = front_ends.of(str(number)).process(photo[:120, :160], stamp)
            assert front_ends.crowded == (number == CAMERAS)
            assert (len(step.matches) > 250) == (stamp > 1 and number < CAMERAS)
            if number == CAMERAS:
                assert not ids & set(step.frame.tracks.ids.tolist())
            ids |= set(step.frame.tracks.ids.tolist())


def test_images_with_a_counter_in_their_frame_id_are_matched(small: Extractor, photo: NDArray[np.uint8]) -> None:
    front_ends = CameraFrontEnds(small)
    matches = [len(front_ends.of(f"{stamp}").process(photo[:120, :160], stamp).matches) for stamp in range(COUNTED + 4)]
    assert not any(matches[: COUNTED + 1]) and min(matches[COUNTED + 1 :]) > 250


def test_interleaved_cameras_are_matched_with_themselves(small: Extractor, photo: NDArray[np.uint8]) -> None:
    front_ends = CameraFrontEnds(small)
    views = {"front": photo[:120, :160], "rear": photo[100:220, 150:310]}
    ids: dict[str, list[set[int]]] = {name: [] for name in views}
    for stamp in range(1, 4):
        for name, view in views.items():
            step = front_ends.of(name).process(view, stamp)
            ids[name].append(set(step.frame.tracks.ids.tolist()))
            if stamp == 1:
                assert step.previous is None and not len(step.matches)
                continue
            moved = step.frame.features.keypoints[step.matches.indices[:, 0]]
            moved = moved - step.previous.features.keypoints[step.matches.indices[:, 1]]
            assert len(step.matches) > 250 and not np.abs(moved).max()  # the view stands still
    assert not set.union(*ids["front"]) & set.union(*ids["rear"])
    assert len(ids["front"][0] & ids["front"][2]) > 250


def test_images_of_two_sizes_start_no_new_tracks(small: Extractor, photo: NDArray[np.uint8]) -> None:
    front_ends = CameraFrontEnds(small)
    for stamp in (1, 2):
        for name, view in (("", photo[:120, :160]), ("rear", photo[:100, :130])):
            step = front_ends.of(name).process(view, stamp)
            assert not step.restarted and bool(len(step.matches)) == (stamp == 2)


def test_options_reach_the_cameras_that_are_and_those_to_come(small: Extractor, photo: NDArray[np.uint8]) -> None:
    front_ends = CameraFrontEnds(small)
    front_ends.of("front").process(photo, 1)
    front_ends.change(FrontEndOptions(max_published=50))
    for name in ("front", "rear"):
        assert len(front_ends.of(name).process(photo, 2).frame.features) == 50


def test_after_a_reset_tracks_are_new(small: Extractor, photo: NDArray[np.uint8]) -> None:
    front_ends = CameraFrontEnds(small)
    before = front_ends.of("front").process(photo, 1).frame.tracks.ids
    front_ends.reset()
    step = front_ends.of("front").process(photo, 2)
    assert step.previous is None and not set(step.frame.tracks.ids.tolist()) & set(before.tolist())


def test_pairs_are_told_apart_by_either_camera(small: Extractor, photo: NDArray[np.uint8]) -> None:
    front_ends = CameraFrontEnds(small)
    left, right = photo[:120, 8:168], RightImage(photo[:120, :160])
    assert not len(front_ends.of("left", "right").process(left, 1, right=right).matches)
    assert not len(front_ends.of("left", "other").process(left, 2, right=right).matches)
    assert len(front_ends.of("left", "right").process(left, 3, right=right).matches) > 250


def play(watch: StreamWatch, *images: tuple[str, int, int | None], period: float = 0.1) -> float:
    """Let a watch see images of a frame_id, stamp and number each. Returns the time of the last."""
    for index, image in enumerate(images):
        watch.take(index * period, *image)
    return (len(images) - 1) * period


def test_two_frame_ids_in_turn_are_two_cameras_until_one_stops() -> None:
    watch = StreamWatch()
    now = play(watch, *(("front" if index % 2 else "", index, None) for index in range(6)))
    assert watch.has_several_cameras(now) and watch.frame_ids(now) == ["", "front"]
    for _ in range(int(WINDOW) + 1):
        now += 1
        watch.take(now, "front", 1000, None)
    assert not watch.has_several_cameras(now) and watch.frame_ids(now) == ["front"]


def test_a_counter_in_the_frame_id_is_no_name_of_cameras() -> None:
    watch = StreamWatch()
    now = play(watch, *((str(index), index, None) for index in range(COUNTED)))
    assert watch.has_several_cameras(now) and watch.is_mixed(now) and not watch.counts
    watch.take(now, "next", 100)
    assert watch.counts and not watch.has_several_cameras(now) and not watch.is_mixed(now)
    watch.take(now, "0", 101)
    assert watch.is_mixed(now) and not watch.counts and not watch.is_mixed(now + 2 * WINDOW)


def test_a_driver_that_comes_back_under_another_name_is_one_camera() -> None:
    watch = StreamWatch()
    assert [watch.take(now, name, 1) for now, name in enumerate("aabb")] == [False, False, True, False]
    assert not watch.has_several_cameras(4) and not watch.goes_back(4)


@pytest.mark.parametrize(
    "images",
    [
        [("cam", 10 * index, 7 + index // 2 - index % 2 * 5) for index in range(10)],  # two counts
        [("cam", 10 * index - index % 2 * 15, None) for index in range(10)],  # two clocks
        [("cam", index, 5 + index // 2) for index in range(10)],  # started at the same moment
    ],
    ids=["numbers", "stamps", "equal numbers"],
)
def test_publishers_of_one_frame_id_are_told_by_what_goes_back(images: list[tuple[str, int, int | None]]) -> None:
    watch = StreamWatch()
    now = play(watch, *images)
    assert watch.goes_back(now) and not watch.has_several_cameras(now) and not watch.goes_back(now + 2 * WINDOW)


def test_lost_images_unknown_numbers_and_restarts_are_no_second_publisher() -> None:
    watch = StreamWatch()
    lost = [("cam", 10 * index, 3 * index) for index in range(10)]
    unknown = [("cam", 1000 + index, None) for index in range(10)]
    restarted = [("cam", 500 + index, index) for index in range(10)]
    assert not watch.goes_back(play(watch, *lost, *unknown, *restarted)) and SEVERAL > 2


def test_names_for_people_are_short() -> None:
    assert quoted(["", "front"]) == "'', 'front'"
    assert quoted([str(number) for number in range(9)]) == "'0', '1', '2', '3' and 5 more"
    assert len(quoted(["x\n" * 10_000])) < 100
