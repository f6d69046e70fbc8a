import math

import numpy as np
import pytest

from silk_ros.geometry.homography import warp_points
from training.homography import HomographyRange, dense_correspondences, random_homography

SIZE = 88  # of the crop
MAP, BORDER = 24, 3


def random_view(seed: int, size: int = SIZE) -> np.ndarray:
    return random_homography(size, HomographyRange(), np.random.default_rng(seed))


def translation(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)


def as_set(correspondences: np.ndarray) -> set[tuple[int, int]]:
    return {(int(source), int(target)) for source, target in correspondences}


def brute_force(homography: np.ndarray, size: int, border: int, stride: int) -> set[tuple[int, int]]:
    def cell(matrix: np.ndarray, i: int, j: int) -> tuple[int, int]:
        x, y, depth = matrix @ np.array([j * stride + border, i * stride + border, 1.0])
        row, column = (y / depth - border) / stride, (x / depth - border) / stride
        return math.floor(row + 0.5), math.floor(column + 0.5)

    inverse = np.linalg.inv(homography)
    found = set()
    for i in range(size):
        for j in range(size):
            row, column = cell(homography, i, j)
            if 0 <= row < size and 0 <= column < size and cell(inverse, row, column) == (i, j):
                found.add((i * size + j, row * size + column))
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("border", "stride"), [(0, 1), (3, 1), (9, 1), (4, 2), (0, 8)])
def test_correspondences_equal_a_search_position_by_position(seed: int, border: int, stride: int) -> None:
    homography = random_view(seed, size=MAP * stride + 2 * border)
    expected = brute_force(homography, MAP, border, stride)
    assert len(expected) > MAP
    assert as_set(dense_correspondences(homography, MAP, border, stride)) == expected


def test_the_identity_gives_each_position_itself() -> None:
    correspondences = dense_correspondences(np.eye(3), MAP, BORDER)
    assert correspondences.dtype == np.int64
    assert as_set(correspondences) == {(k, k) for k in range(MAP * MAP)}


@pytest.mark.parametrize("border", [0, 3])
@pytest.mark.parametrize("offset", [(5, -2), (5.3, -1.8)])
def test_a_translation_gives_shifted_positions(offset: tuple[float, float], border: int) -> None:
    correspondences = dense_correspondences(translation(*offset), MAP, border)
    expected = {(i * MAP + j, (i - 2) * MAP + j + 5) for i in range(2, MAP) for j in range(MAP - 5)}
    assert as_set(correspondences) == expected


def test_the_border_is_where_the_map_begins_in_the_image() -> None:
    doubled = np.diag([2.0, 2.0, 1.0])  # pixel (x, y) -> (2x, 2y), so map column j -> 2 (j + border) - border
    correspondences = dense_correspondences(doubled, MAP, BORDER)
    assert (0, BORDER * MAP + BORDER) in as_set(correspondences)


def test_pixels_between_two_positions_of_a_coarse_map_go_to_the_nearer() -> None:
    """Positions lie 4 pixels apart: a shift of 5 pixels is 1 position, of 7 it is 2."""
    for shift, positions in ((4, 1), (5, 1), (7, 2), (8, 2)):
        correspondences = dense_correspondences(translation(shift, 0), MAP, BORDER, stride=4)
        assert as_set(correspondences) == {
            (i * MAP + j, i * MAP + j + positions) for i in range(MAP) for j in range(MAP - positions)
        }


@pytest.mark.parametrize("seed", range(5))
def test_no_position_is_used_twice(seed: int) -> None:
    source, target = dense_correspondences(random_view(seed), SIZE - 2 * BORDER, BORDER).T
    assert len(source) == len(set(source)) == len(set(target)) > 0


def test_nothing_in_common_gives_no_correspondences() -> None:
    assert dense_correspondences(translation(MAP, 0), MAP, BORDER).shape == (0, 2)


def test_points_beyond_the_horizon_are_infinite() -> None:
    horizon = np.array([[1, 0, 0], [0, 1, 0], [-0.1, 0, 1]], dtype=np.float64)  # the line x = 10
    warped = warp_points(horizon, np.array([[5.0, 1.0], [10.0, 1.0], [20.0, 1.0]]), ahead=True)
    assert np.allclose(warped[0], [10, 2])
    assert np.isinf(warped[1:]).all()


@pytest.mark.parametrize("seed", range(30))
def test_a_random_view_shows_nothing_but_the_crop(seed: int) -> None:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (SIZE - 1.0)
    mapped = np.c_[corners, np.ones(4)] @ np.linalg.inv(random_view(seed)).T
    seen = mapped[:, :2] / mapped[:, 2:]
    assert (seen > -1e-3).all()
    assert (seen < SIZE - 1 + 1e-3).all()


@pytest.mark.parametrize("seed", range(10))
def test_a_view_without_tilt_shows_the_drawn_share_of_the_crop(seed: int) -> None:
    limits = HomographyRange(scale=(0.6, 0.9), tilt=0.0, roll=0.0)
    homography = random_homography(SIZE, limits, np.random.default_rng(seed))
    assert 1 / 0.9 - 1e-6 < homography[0, 0] / homography[2, 2] < 1 / 0.6 + 1e-6


def test_no_change_of_view_is_the_identity() -> None:
    limits = HomographyRange(scale=(1.0, 1.0), tilt=0.0, roll=0.0)
    assert np.allclose(random_homography(SIZE, limits, np.random.default_rng(0)), np.eye(3), atol=1e-6)


def test_roll_turns_the_view_in_its_plane() -> None:
    limits = HomographyRange(scale=(0.6, 0.6), tilt=0.0, roll=0.39)
    turns = []
    for seed in range(50):
        a, b = random_homography(SIZE, limits, np.random.default_rng(seed))[:2, :2]
        turns.append(math.atan2(b[0], a[0]))
    assert 0.3 < max(turns) <= 0.39 + 1e-6
    assert -0.3 > min(turns) >= -0.39 - 1e-6


def mixed_views(count: int, **limits: float) -> list[np.ndarray]:
    changes = HomographyRange(mixed_strength=True, **limits)
    return [random_homography(SIZE, changes, np.random.default_rng(seed)) for seed in range(count)]


def corner_motion(homography: np.ndarray) -> float:
    """Pixels that the corners move on average."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (SIZE - 1.0)
    return float(np.linalg.norm(warp_points(homography, corners) - corners, axis=1).mean())


def test_mixed_strength_goes_from_hardly_any_change_to_the_full_one() -> None:
    full, mixed = (
        [corner_motion(view) for view in views] for views in (map(random_view, range(200)), mixed_views(200))
    )
    assert min(mixed) < 2 < 5 < min(full)
    assert np.mean(mixed) < 0.7 * np.mean(full)
    assert max(mixed) > np.median(full)


def test_mixed_strength_never_exceeds_the_range() -> None:
    zooms = [view[0, 0] / view[2, 2] for view in mixed_views(200, scale=(0.6, 0.9), tilt=0.0, roll=0.0)]
    assert 1 <= min(zooms) + 1e-6 < 1.02 < 1.5 < max(zooms) <= 1 / 0.6 + 1e-6
    turns = [math.atan2(view[1, 0], view[0, 0]) for view in mixed_views(200, scale=(0.6, 0.6), tilt=0.0, roll=0.39)]
    assert -0.39 - 1e-6 <= min(turns) < -0.25 < 0.25 < max(turns) <= 0.39 + 1e-6
    assert np.abs(turns).min() < 0.01


def test_every_random_view_is_in_front_of_the_camera() -> None:
    centre = np.full((1, 2), (SIZE - 1) / 2)
    for seed in range(200):
        homography = random_view(seed)
        mapped = np.linalg.inv(homography) @ np.array([*centre[0], 1.0])
        seen = mapped[None, :2] / mapped[2]
        assert np.allclose(warp_points(homography, seen), centre, atol=1e-3), f"seed {seed}"


def test_the_same_seed_gives_the_same_view_and_another_seed_another() -> None:
    assert np.array_equal(random_view(1), random_view(1))
    assert not np.allclose(random_view(1), random_view(2))
