from __future__ import annotations

import multiprocessing
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from silk_ros import Features, match

SIZES = [(1, 1), (1, 5), (5, 1), (2, 2), (255, 300), (256, 256), (257, 511), (600, 1000), (1000, 70)]
Floats = NDArray[np.floating]


def described(descriptors: Floats) -> Features:
    return Features(
        keypoints=np.zeros((len(descriptors), 2)), scores=np.zeros(len(descriptors)), descriptors=descriptors
    )


def random_pair(rows: int, columns: int, noise: float = 0.25, dimensions: int = 32) -> tuple[Features, Features]:
    """Descriptors of two images that show the same things in another order, as far as their sizes allow."""
    rng = np.random.default_rng(rows * 10_000 + columns)
    shared = rng.normal(size=(max(rows, columns), dimensions))
    one = shared[:rows] + noise * rng.normal(size=(rows, dimensions))
    other = shared[rng.permutation(len(shared))[:columns]] + noise * rng.normal(size=(columns, dimensions))
    a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (one, other))
    return described(a), described(b)


def mutual_best(values: Floats) -> NDArray[np.intp]:
    """The definition, on the full matrix."""
    best = values.argmax(axis=1)
    rows = np.flatnonzero(values.argmax(axis=0)[best] == np.arange(len(values)))
    return np.stack([rows, best[rows]], axis=1)


def cosines(a: Features, b: Features) -> Floats:
    return a.descriptors.astype(float) @ b.descriptors.T.astype(float)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_mutual_nearest_neighbours_equal_the_full_matrix(rows: int, columns: int) -> None:
    a, b = random_pair(rows, columns)
    expected = mutual_best(cosines(a, b))
    matches = match(a, b)
    assert (matches.indices.dtype, matches.similarity.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(matches.indices, expected)
    np.testing.assert_allclose(matches.similarity, cosines(a, b)[tuple(expected.T)], atol=1e-6)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize(("rows", "columns"), [(5, 2), (300, 700), (700, 300)])
def test_ratio_compares_cosine_distances(rows: int, columns: int, ratio: float) -> None:
    a, b = random_pair(rows, columns)
    values = cosines(a, b)
    second, best = np.sort(values, axis=1)[:, -2:].T
    expected = [pair for pair in mutual_best(values).tolist() if 1 - best[pair[0]] <= ratio * (1 - second[pair[0]])]
    assert match(a, b, ratio=ratio).indices.tolist() == expected


@pytest.mark.parametrize("threshold", [-1.0, 0.5, 0.9, 1.0])
def test_min_similarity_keeps_the_similar(threshold: float) -> None:
    a, b = random_pair(300, 500)
    values = cosines(a, b)
    expected = [pair for pair in mutual_best(values).tolist() if values[tuple(pair)] >= threshold]
    assert match(a, b, min_similarity=threshold).indices.tolist() == expected


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_double_softmax_is_the_round_trip_probability(rows: int, columns: int, threshold: float) -> None:
    a, b = random_pair(rows, columns, noise=0.6)
    weights = np.exp(cosines(a, b) / 0.05)
    probability = weights / weights.sum(axis=0) * weights / weights.sum(axis=1, keepdims=True)
    expected = [pair for pair in mutual_best(probability).tolist() if 1 - probability[tuple(pair)] <= threshold]
    matches = match(a, b, double_softmax=threshold)
    assert matches.indices.tolist() == expected
    np.testing.assert_allclose(matches.similarity, cosines(a, b)[tuple(matches.indices.T)], atol=1e-6)


@pytest.mark.parametrize("other", [{"ratio": 0.9}, {"double_softmax": 0.5}])
def test_filters_combine(other: dict[str, float]) -> None:
    a, b = random_pair(300, 300, noise=0.5)
    alone, both = match(a, b, **other), match(a, b, min_similarity=0.8, **other)
    assert 0 < len(both) < len(alone)
    np.testing.assert_array_equal(both.indices, alone.indices[alone.similarity >= 0.8])


@pytest.mark.parametrize("filters", [{}, {"ratio": 0.7}, {"double_softmax": 0.5}])
def test_matches_come_in_the_order_of_the_first_image(filters: dict[str, float]) -> None:
    rows = match(*random_pair(600, 600), **filters).indices[:, 0]
    assert len(rows) > 100 and (np.diff(rows) > 0).all()


def test_swapping_the_images_swaps_the_columns() -> None:
    a, b = random_pair(400, 700)
    there, back = match(a, b).indices, match(b, a).indices[:, ::-1]
    assert sorted(there.tolist()) == sorted(back.tolist())


@pytest.mark.parametrize("filters", [{}, {"ratio": 1.0}, {"min_similarity": 0.9}, {"double_softmax": 1.0}])
@pytest.mark.parametrize("distinct", [1, 5])
def test_equal_descriptors_still_match_one_to_one(distinct: int, filters: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    a, b = (described(np.eye(8)[rng.integers(0, distinct, 600)]) for _ in range(2))
    matches = match(a, b, **filters)
    assert len(matches) >= distinct
    assert all(len(np.unique(column)) == len(matches) for column in matches.indices.T)
    np.testing.assert_array_equal(matches.similarity, 1)


@pytest.mark.parametrize("filters", [{}, {"ratio": 0.8}, {"min_similarity": 0.5}, {"double_softmax": 0.5}])
@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 5), (5, 0)])
def test_nothing_matches_nothing(rows: int, columns: int, filters: dict[str, float]) -> None:
    matches = match(described(np.ones((rows, 8))), described(np.ones((columns, 8))), **filters)
    assert (matches.indices.shape, matches.similarity.shape) == ((0, 2), (0,))


def test_descriptors_of_two_models_are_refused() -> None:
    with pytest.raises(ValueError, match="32 and 128 dimensions: extract both images with the same model"):
        match(described(np.ones((5, 32))), described(np.ones((5, 128))))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ratio", value) for value in (-0.1, 1.1, np.nan)),
        *(("min_similarity", value) for value in (-1.1, 1.1, np.nan)),
        *(("double_softmax", value) for value in (-0.1, 1.1, np.nan)),
    ],
)
def test_a_filter_out_of_range_names_the_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be between .* and 1"):
        match(*random_pair(2, 2), **{name: value})


def test_ratio_and_double_softmax_are_alternatives() -> None:
    with pytest.raises(ValueError, match="ratio and double_softmax are alternatives"):
        match(*random_pair(2, 2), ratio=0.8, double_softmax=0.5)


@pytest.mark.parametrize("filters", [{}, {"ratio": 0.8}, {"double_softmax": 0.5}, {"radius": 1e4}])
def test_the_full_matrix_is_never_held(filters: dict[str, float]) -> None:
    a, b = random_pair(4000, 4000)
    tracemalloc.start()
    try:
        match(a, b, **filters)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4000 * 4000 * 4 / 4


def placed(features: Features, points: Floats) -> Features:
    return Features(keypoints=points, scores=features.scores, descriptors=features.descriptors)


@pytest.mark.parametrize("radius", [0.5, 7.0, 40.0, 1e4])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 50), (400, 300), (1100, 900)])
def test_a_radius_equals_the_masked_full_matrix(rows: int, columns: int, radius: float) -> None:
    a, b = random_pair(rows, columns)
    rng = np.random.default_rng(0)
    points, expected = (rng.uniform(-20, 180, (count, 2)).astype(np.float32) for count in (rows, columns))
    a, b = placed(a, points), placed(b, np.zeros((columns, 2)))
    distance = np.linalg.norm(points[:, None].astype(float) - expected, axis=2)
    values = np.where(distance <= radius, cosines(a, b), -np.inf)
    reference = [pair for pair in mutual_best(values).tolist() if np.isfinite(values[tuple(pair)])]
    assert match(a, b, radius=radius, expected=expected).indices.tolist() == reference


@pytest.mark.parametrize("start", [0.0, 0.25, 1000.5])
def test_keypoints_of_a_grid_are_matched_at_the_radius(start: float) -> None:
    a = b = described(np.array([[1.0, 0], [0, 1]]))
    a, b = placed(a, np.array([[start, 0], [start, 40]])), placed(b, np.array([[start + 30, 0], [start + 24, 58]]))
    assert match(a, b, radius=30).indices.tolist() == [[0, 0], [1, 1]]
    assert match(a, b, radius=29.99).indices.tolist() == []


def test_without_expectations_keypoints_stay_where_they_were() -> None:
    a, b = random_pair(200, 200)
    points = np.random.default_rng(0).uniform(0, 300, (200, 2))
    a, b = placed(a, points), placed(b, points[::-1])
    here = match(a, b, radius=30, expected=b.keypoints)
    assert match(a, b, radius=30).indices.tolist() == here.indices.tolist()


@pytest.mark.parametrize("ratio", [0.8, 1.0])
def test_the_ratio_is_to_the_second_best_within_the_radius(ratio: float) -> None:
    a = placed(described(np.array([[1.0, 0]])), np.zeros((1, 2)))
    b = described(np.array([[1.0, 0], [1, 0], [0, 1]]))
    b = placed(b, np.array([[0.0, 0], [100, 0], [1, 0]]))  # the equal rival is out of reach
    assert match(a, b, ratio=ratio, radius=10).indices.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"radius": 0.0}, "radius must be above 0, not 0.0: it is in pixels"),
        ({"radius": float("nan")}, "radius must be above 0"),
        ({"radius": 5.0, "double_softmax": 0.5}, "radius and double_softmax are alternatives"),
        ({"expected": np.zeros((4, 2))}, "expected positions need a radius"),
        ({"radius": 5.0, "expected": np.zeros((3, 2))}, r"expected must have shape \(4, 2\)"),
    ],
)
def test_a_radius_that_makes_no_sense_is_refused(filters: dict[str, object], message: str) -> None:
    a, b = random_pair(5, 4)
    with pytest.raises(ValueError, match=message):
        match(a, b, **filters)  # type: ignore[arg-type]


@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_a_rival_out_of_reach_is_no_rival(ratio: float) -> None:
    a = placed(described(np.array([[1.0, 0]])), np.zeros((1, 2)))
    b = placed(described(np.array([[1.0, 0], [0.9, 0.43589]])), np.array([[9.0, 0], [8, 8]]))  # in one tile, 11 px away
    assert match(a, b, ratio=ratio, radius=10).indices.tolist() == [[0, 0]]


def test_several_threads_may_match_at_once() -> None:
    a, b = random_pair(1000, 900)
    expected = match(a, b).indices
    before = [pool["num_threads"] for pool in threadpool_info()]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: match(a, b).indices, range(24)):
            np.testing.assert_array_equal(found, expected)
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_can_match_too() -> None:
    a, b = random_pair(1000, 900)
    expected = match(a, b).indices
    process = multiprocessing.get_context("fork").Process(target=_expect, args=(a, b, expected))
    process.start()
    process.join(timeout=30)
    alive = process.is_alive()
    process.kill()
    assert not alive and process.exitcode == 0


def _expect(a: Features, b: Features, expected: NDArray[np.int32]) -> None:
    np.testing.assert_array_equal(match(a, b).indices, expected)
