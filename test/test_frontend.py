from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor
from silk_ros.frontend import FrontEnd

Image = NDArray[np.uint8]
SECOND = 10**9


@pytest.fixture
def front_end() -> FrontEnd:
    return FrontEnd(Extractor.load(max_keypoints=400))


def view(photo: Image, shift: int = 0) -> Image:
    """What a camera sees that moves right and down over the photo."""
    return photo[shift : shift + 120, shift : shift + 160]


def test_the_first_frame_has_nothing_to_match(front_end: FrontEnd, photo: Image) -> None:
    step = front_end.process(view(photo), 5)
    assert (len(step.frame.features), step.previous, len(step.matches), step.restarted) == (400, None, 0, "")
    assert step.frame.stamp == 5
    assert len(np.unique(step.frame.track_ids)) == 400


def test_the_second_frame_matches_the_first(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    second = front_end.process(view(photo, 3), SECOND)
    assert second.previous is first.frame
    now, before = second.matches.indices.T
    motion = second.frame.features.keypoints[now] - first.frame.features.keypoints[before]
    np.testing.assert_array_equal(np.median(motion, axis=0), [-3, -3])


def test_track_ids_follow_the_matches(front_end: FrontEnd, photo: Image) -> None:
    steps = [front_end.process(view(photo, shift), shift) for shift in range(4)]
    for before, after in itertools.pairwise(steps):
        rows, previous_rows = after.matches.indices.T
        np.testing.assert_array_equal(after.frame.track_ids[rows], before.frame.track_ids[previous_rows])
        fresh = np.delete(after.frame.track_ids, rows)
        assert fresh.min() > before.frame.track_ids.max()
    assert len(np.intersect1d(steps[0].frame.track_ids, steps[-1].frame.track_ids)) > 50


def test_another_size_starts_afresh_and_says_so(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    step = front_end.process(view(photo)[:100], SECOND)
    assert step.restarted == "image size changed from 160x120 to 160x100"
    assert (step.previous, len(step.matches)) == (None, 0)
    assert step.frame.track_ids.min() > first.frame.track_ids.max()


def test_an_older_stamp_starts_afresh_and_says_so(front_end: FrontEnd, photo: Image) -> None:
    front_end.process(view(photo), 5 * SECOND)
    step = front_end.process(view(photo, 1), 3 * SECOND)
    assert (step.previous, len(step.matches), step.restarted) == (None, 0, "stamp went back by 2.000 s")
    after = front_end.process(view(photo, 2), 4 * SECOND)
    assert after.previous is step.frame
    assert (len(after.matches) > 0, after.restarted) == (True, "")


def test_the_same_stamp_goes_on(front_end: FrontEnd, photo: Image) -> None:
    front_end.process(view(photo), 0)
    step = front_end.process(view(photo, 1), 0)
    assert (len(step.matches) > 0, step.restarted) == (True, "")


def test_reset_forgets_the_previous_frame(front_end: FrontEnd, photo: Image) -> None:
    first = front_end.process(view(photo), 0)
    front_end.reset()
    step = front_end.process(view(photo), 1)
    assert (step.previous, len(step.matches), step.restarted) == (None, 0, "")
    assert not np.isin(step.frame.track_ids, first.frame.track_ids).any()


@pytest.mark.parametrize("bad", [np.zeros((5, 5), np.uint8), np.zeros((120, 160)), np.zeros((120, 160, 3), np.uint8)])
def test_a_bad_image_keeps_the_previous_frame(front_end: FrontEnd, photo: Image, bad: Image) -> None:
    first = front_end.process(view(photo), 0)
    with pytest.raises((TypeError, ValueError)):
        front_end.process(bad, 1)
    assert front_end.process(view(photo, 1), 2).previous is first.frame


def test_filters_reach_the_matcher(photo: Image) -> None:
    extractor = Extractor.load(max_keypoints=400)
    counts = []
    for filters in ({}, {"ratio": 0.5}, {"min_similarity": 0.99}, {"double_softmax": 0.3}):
        front_end = FrontEnd(extractor, **filters)
        front_end.process(view(photo), 0)
        counts.append(len(front_end.process(255 - view(photo, 1), 1).matches))
    assert max(counts[1:]) < counts[0]


@pytest.mark.parametrize("filters", [{"ratio": 2.0}, {"min_similarity": -2.0}, {"ratio": 0.5, "double_softmax": 0.5}])
def test_useless_filters_are_refused_at_the_start(extractor: Extractor, filters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"ratio|min_similarity"):
        FrontEnd(extractor, **filters)


def test_frames_of_nothing_go_through(front_end: FrontEnd, photo: Image) -> None:
    for stamp, image in enumerate([np.zeros((120, 160), np.uint8), view(photo), np.full((120, 160), 255, np.uint8)]):
        assert len(front_end.process(image, stamp).frame.features) == 400
