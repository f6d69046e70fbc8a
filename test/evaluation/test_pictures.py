import numpy as np

from silk_ros.evaluation.pictures import CORRECT_COLOUR, MAX_LINES, WRONG_COLOUR, draw_pair


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
