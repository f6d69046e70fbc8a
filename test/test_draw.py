from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Features, Matches
from silk_ros.draw import CORRECT_COLOUR, MANY_MATCHES, MAX_LINES, WRONG_COLOUR, draw_matches, draw_pair

EMPTY = np.full((60, 80), 100, np.uint8)


def points(*positions: tuple[float, float]) -> Features:
    count = len(positions)
    return Features(np.array(positions).reshape(-1, 2), np.ones(count), np.eye(count, 4))


def pairs(count: int) -> Matches:
    return Matches(np.repeat(np.arange(count), 2).reshape(-1, 2), np.ones(count))


def drawn_on(overlay: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a plain image has something drawn on it; its last row stays free in these tests."""
    return (overlay != overlay[-1, -1]).any(axis=2)


def test_the_input_is_not_touched(photo: NDArray[np.uint8]) -> None:
    before = photo.copy()
    overlay = draw_matches(photo, points((50, 50)), points((60, 60)), pairs(1), "caption")
    np.testing.assert_array_equal(photo, before)
    assert (overlay.shape, overlay.dtype) == ((*photo.shape, 3), np.uint8)


def test_a_line_leads_from_where_the_match_was() -> None:
    drawn = drawn_on(draw_matches(EMPTY, points((60, 30)), points((20, 30)), pairs(1)))
    assert drawn[30, 20:61].all()
    assert not drawn[:25].any() and not drawn[36:].any()


def test_lines_join_the_rows_that_match() -> None:
    now, before = points((10, 10), (60, 40)), points((60, 50), (10, 20))
    drawn = drawn_on(draw_matches(EMPTY, now, before, Matches([[0, 1], [1, 0]], [1, 1])))
    assert drawn[10:21, 10].all() and drawn[40:51, 60].all()
    assert not drawn[30, 30:40].any()


def test_opposite_motions_differ_in_colour() -> None:
    right = draw_matches(EMPTY, points((60, 30)), points((20, 30)), pairs(1))[30, 40]
    left = draw_matches(EMPTY, points((20, 30)), points((60, 30)), pairs(1))[30, 40]
    assert np.abs(right.astype(int) - left).max() > 100


def test_what_stands_still_has_no_direction() -> None:
    picture = draw_matches(EMPTY, points((40, 30)), points((40.3, 29.8)), pairs(1))
    assert (picture[30, 40] == 255).all()


def test_unmatched_keypoints_are_dots() -> None:
    drawn = drawn_on(draw_matches(EMPTY, points((15.4, 20.6)), points((70, 50)), Matches.empty()))
    assert drawn[21, 15] and drawn.sum() < 20


@pytest.mark.parametrize("previous", [None, points(), points((1, 1))])
@pytest.mark.parametrize("features", [points(), points((0, 0), (79, 59))])
def test_frames_without_matches_can_be_drawn(features: Features, previous: Features | None) -> None:
    assert draw_matches(EMPTY, features, previous, Matches.empty()).shape == (60, 80, 3)


def test_without_a_previous_image_all_keypoints_are_dots() -> None:
    drawn = drawn_on(draw_matches(EMPTY, points((15, 20), (40, 30)), None, pairs(2)))
    assert drawn[20, 15] and drawn[30, 40]


def test_a_frame_without_matches_has_a_legend_too() -> None:
    """Else it would flicker in a video."""
    frames = [draw_matches(LARGE, points((300, 200)), points((280, 200)), matches) for matches in (pairs(1), pairs(0))]
    one, none = (drawn_on(frame[:, ::-1])[400:] for frame in frames)
    assert none[:, 500:].any() and abs(int(one.sum()) - int(none.sum())) < 100


def test_the_caption_is_written_at_the_top() -> None:
    drawn = drawn_on(draw_matches(EMPTY, points(), None, Matches.empty(), "12 matches"))
    assert drawn[:30].sum() > 50 and not drawn[30:].any()


LARGE = np.full((480, 640), 100, np.uint8)


def crowd(count: int) -> tuple[Features, Features]:
    """Keypoints at random places above the legend, and the same ones five pixels further left, in order of scores."""
    places = np.random.default_rng(0).uniform((20, 20), (620, 380), (count, 2))
    scores = np.linspace(1, 0, count)
    return Features(places, scores, np.ones((count, 1))), Features(places - (5, 0), scores, np.ones((count, 1)))


def test_thousands_of_matches_are_thinned_to_the_best_one_of_each_cell() -> None:
    now, before = crowd(4000)
    many = draw_matches(LARGE, now, before, pairs(4000))
    np.testing.assert_array_equal(many, draw_matches(LARGE, now, before, pairs(4000)))
    cells = np.floor(now.keypoints / 16)
    first = np.sort(np.unique(cells, axis=0, return_index=True)[1])
    few = draw_matches(LARGE, now.rows(first), before.rows(first), pairs(len(first)))
    np.testing.assert_array_equal(many[:400], few[:400])
    assert drawn_on(many)[:400].mean() < 0.5


def test_a_few_matches_are_all_shown() -> None:
    now, before = crowd(MANY_MATCHES)
    drawn = drawn_on(draw_matches(LARGE, now, before, pairs(MANY_MATCHES)))
    x, y = np.rint(now.keypoints).astype(int).T
    assert drawn[y, x].all()


def test_a_match_that_is_not_shown_is_no_grey_dot() -> None:
    now, before = crowd(4000)
    assert not (draw_matches(LARGE, now, before, pairs(4000))[:400] == 110).all(axis=2).any()


def test_a_legend_tells_colours_where_there_is_room() -> None:
    picture = draw_matches(LARGE, points((300, 200)), points((280, 200)), pairs(1))
    legend = (picture != picture[0, 0]).any(axis=2)[400:]
    assert legend[40:, :100].any() and not legend[:, 500:].any()
    red, cyan = picture[200, 290], draw_matches(LARGE, points((280, 200)), points((300, 200)), pairs(1))[200, 290]
    centre = 480 - 26, 25  # of the disc: its right side has the colour of motions to the right
    for at, colour in (((centre[0], centre[1] + 12), red), ((centre[0], centre[1] - 12), cyan)):
        assert np.abs(picture[at].astype(int) - colour).max() < 60
    assert not drawn_on(draw_matches(EMPTY, points((60, 10)), points((20, 10)), pairs(1)))[20:].any()


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a drawn picture has a colour, but for the rounding of smooth lines."""
    return (np.abs(picture.astype(int) - colour) <= 40).all(axis=-1)


def test_images_of_different_size_stand_side_by_side() -> None:
    picture = draw_pair(
        np.full((20, 30), 100, np.uint8),
        np.full((40, 50), 200, np.uint8),
        np.empty((0, 2)),
        np.empty((0, 2)),
        np.empty(0, bool),
    )
    assert picture.shape == (40, 80, 3) and picture.dtype == np.uint8
    assert (picture[:20, :30] == 80).all() and (picture[:, 30:] == 160).all() and not picture[20:, :30].any()


def test_correct_matches_are_green_and_wrong_ones_red() -> None:
    blank = np.zeros((40, 40), np.uint8)
    points0, points1 = np.array([[5.0, 10.0], [5.0, 30.0]]), np.array([[35.0, 10.0], [35.0, 30.0]])
    picture = draw_pair(blank, blank, points0, points1, np.array([True, False]))
    assert has_colour(picture, CORRECT_COLOUR)[10, 5:76].all() and has_colour(picture, WRONG_COLOUR)[30, 5:76].all()
    assert not picture[20].any()


def test_many_matches_are_thinned_and_keep_their_share_of_wrong_ones() -> None:
    rows = np.arange(4 * MAX_LINES) * 8.0  # far enough apart to be counted
    blank = np.zeros((int(rows[-1]) + 9, 20), np.uint8)
    points = np.column_stack([np.full_like(rows, 10), rows + 4])
    picture = draw_pair(blank, blank, points, points, np.arange(len(rows)) % 4 > 0)
    column = picture[:, 20]  # between the dots, where a line is one pixel wide
    wrong, correct = (int(has_colour(column, colour).sum()) for colour in (WRONG_COLOUR, CORRECT_COLOUR))
    assert wrong + correct == MAX_LINES
    assert abs(wrong - MAX_LINES / 4) <= 1
