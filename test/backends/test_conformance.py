"""What every backend must do alike: the same images, the same keypoints within a stated tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from silk_ros import match
from silk_ros.backends import BACKENDS, PRECISIONS, Backend, BackendUnavailable, SelectionRules, select_backend
from silk_ros.paths import default_model
from silk_ros.types import Features

Image = NDArray[np.uint8]
KEYPOINTS = 400

# Of each precision: the share of the best keypoints that must be the same, and the least mean cosine of descriptors.
TOLERANCE = {"fp32": (0.99, 0.9999), "fp16": (0.97, 0.999), "bf16": (0.94, 0.999), "int8": (0.85, 0.99)}
ON_GPU = ("tensorrt", "onnxruntime_cuda", "onnxruntime_tensorrt")
CASES = [
    pytest.param((name, precision), id=f"{name}-{precision}", marks=pytest.mark.gpu if name in ON_GPU else ())
    for name in BACKENDS
    for precision in PRECISIONS[name]
]


def load(name: str, precision: str, rules: SelectionRules | None = None) -> Backend:
    try:
        return select_backend(name, precision, default_model(), KEYPOINTS, rules=rules)
    except BackendUnavailable as error:
        pytest.skip(str(error))
    except ValueError as error:
        if precision == "bf16" and "no bfloat16" in str(error):
            pytest.skip(str(error))  # not on this processor
        raise


@pytest.fixture(scope="module")
def images() -> list[Image]:
    """Two photographs, of different sizes, and an image without texture."""
    photos = data.camera()[::2, ::2][:120, :160], data.coins()[60:217, 30:233]
    return [np.ascontiguousarray(photo) for photo in photos] + [np.full((64, 80), 128, np.uint8)]


@pytest.fixture(scope="module")
def expected(images: list[Image]) -> list[Features]:
    reference = select_backend("onnxruntime", "fp32", default_model(), KEYPOINTS)
    return [Features(*reference.extract(image)) for image in images]


@pytest.fixture(scope="module", params=CASES)
def backend(request: pytest.FixtureRequest) -> Backend:
    return load(*request.param)


def test_it_says_what_it_is(backend: Backend) -> None:
    assert backend.name in BACKENDS and backend.precision in TOLERANCE and backend.device
    assert (backend.border, backend.descriptor_dim, backend.max_keypoints) == (3, 32, KEYPOINTS)
    assert backend.model == default_model()


def test_features_are_those_of_the_reference(backend: Backend, images: list[Image], expected: list[Features]) -> None:
    least_overlap, least_cosine = TOLERANCE[backend.precision]
    for image, reference in zip(images[:2], expected):
        keypoints, _, descriptors = backend.extract(image)
        place = {tuple(point): row for row, point in enumerate(reference.keypoints.tolist())}
        same = [(place[tuple(p)], row) for row, p in enumerate(keypoints.tolist()) if tuple(p) in place]
        assert len(same) >= least_overlap * KEYPOINTS
        rows, own = np.array(same).T
        assert np.einsum("nd,nd->n", reference.descriptors[rows], descriptors[own]).mean() >= least_cosine


def test_keypoints_are_pixels_inside_the_border_best_first(backend: Backend, images: list[Image]) -> None:
    for image in images:
        keypoints, scores, descriptors = backend.extract(image)
        assert keypoints.dtype == scores.dtype == descriptors.dtype == np.float32
        assert (keypoints == np.round(keypoints)).all()
        assert (keypoints >= 3).all() and (keypoints < np.array(image.shape[::-1]) - 3).all()
        assert len({tuple(point) for point in keypoints.tolist()}) == len(keypoints) == KEYPOINTS
        assert (np.diff(scores) <= 0).all() and scores[0] <= 1 and scores[-1] >= 0
        np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, atol=1e-3)


def test_sizes_may_change_and_nothing_returned_changes_later(backend: Backend, images: list[Image]) -> None:
    first = [Features(*backend.extract(image)) for image in images]
    copies = [features.descriptors.copy() for features in first]
    for image in images:
        backend.extract(np.ascontiguousarray(image[::-1, ::-1]))  # of the same sizes
    for before, copy, image in zip(first, copies, images):
        np.testing.assert_array_equal(before.descriptors, copy)
        np.testing.assert_array_equal(before.keypoints, backend.extract(image)[0])


def test_fewer_positions_than_keypoints_are_all_given(backend: Backend) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 20), np.uint8)
    keypoints = backend.extract(image)[0]
    assert len(keypoints) == 10 * 14


def test_matches_of_a_moved_image_are_exact(backend: Backend, images: list[Image]) -> None:
    image = images[0]
    a, b = (Features(*backend.extract(np.ascontiguousarray(part))) for part in (image[:-5, :-9], image[5:, 9:]))
    rows = match(a, b, min_similarity=0.9).indices
    motion = b.keypoints[rows[:, 1]] - a.keypoints[rows[:, 0]]
    assert len(rows) > 150 and (motion == [-9, -5]).all(axis=1).mean() > 0.9


@pytest.mark.parametrize("backend", CASES)
@pytest.mark.parametrize(
    "rules",
    [
        SelectionRules(border=10),
        SelectionRules(nms_radius=2),
        SelectionRules(cell_size=16, max_per_cell=4),
        SelectionRules(9, 1, 21, 3),
    ],
    ids=["border", "nms", "cells", "all"],
)
def test_selection_rules_hold(backend: tuple[str, str], rules: SelectionRules, images: list[Image]) -> None:
    loaded = load(*backend, rules)
    reference = select_backend("onnxruntime", "fp32", default_model(), KEYPOINTS, rules=rules)
    # Which position is the best one beside others is a closer decision.
    least_overlap = {"bf16": 0.84, "int8": 0.5}.get(loaded.precision, TOLERANCE[loaded.precision][0])
    for image in images:
        keypoints, scores, descriptors = loaded.extract(image)
        expected = reference.extract(image)[0]
        assert len(keypoints) == len(scores) == len(descriptors) == len(expected) <= KEYPOINTS
        assert (np.diff(scores) <= 0).all() and scores[-1] > 0
        border = max(3, rules.border)
        assert (keypoints >= border).all() and (keypoints < np.array(image.shape[::-1]) - border).all()
        offsets = np.abs(keypoints[:, None] - keypoints).max(axis=2)
        assert ((offsets <= rules.nms_radius).sum(axis=1) == 1).all()
        if rules.cell_size and not rules.nms_radius:
            counts = np.unique(keypoints // rules.cell_size, axis=0, return_counts=True)[1]
            assert len(counts) == np.prod(np.ceil(np.array(image.shape) / rules.cell_size))
    for image in images[:2]:
        same = {*map(tuple, reference.extract(image)[0].tolist())} & {*map(tuple, loaded.extract(image)[0].tolist())}
        assert len(same) >= least_overlap * len(reference.extract(image)[0])
