from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor, Features
from silk_ros.backends.rules import SelectionRules
from silk_ros.extractor import Region
from silk_ros.selection import Selection

Image = NDArray[np.uint8]
COUNT = 500


def extract(
    image: Image, scale: float = 1.0, count: int = COUNT, region: Region | None = None, **rules: float
) -> Features:
    selection = Selection(**rules)  # type: ignore[arg-type]
    return Extractor.load(None, count, "onnxruntime", scale=scale, selection=selection, region=region)(image)


def per_cell(features: Features, size: float) -> NDArray[np.intp]:
    """The number of keypoints of each cell that has one."""
    return np.unique(np.floor((features.keypoints + 0.5) / size), axis=0, return_counts=True)[1]


def neighbours(features: Features, radius: float) -> int:
    """The most keypoints in the square around a keypoint, without itself."""
    offsets = np.abs(features.keypoints[:, None] - features.keypoints).max(axis=2)
    return int((offsets <= radius).sum(axis=1).max()) - 1


@pytest.mark.parametrize(
    ("rules", "scale", "expected"),
    [
        ({}, 0.5, SelectionRules()),
        ({"border": 19}, 1, SelectionRules(border=19)),
        # (19 + 0.5) / 2 - 0.5 = 9.25: position 10 of the network is pixel 20.5.
        ({"border": 19}, 0.5, SelectionRules(border=10)),
        ({"nms_radius": 5}, 0.5, SelectionRules(nms_radius=2)),
        ({"nms_radius": 1}, 0.5, SelectionRules()),  # keypoints are two pixels apart
        ({"nms_radius": 3}, 1 / 3, SelectionRules(nms_radius=1)),
        ({"cell_size": 32, "max_per_cell": 3}, 0.5, SelectionRules(cell_size=16, max_per_cell=3)),
        ({"cell_size": 35, "max_per_cell": 3}, 0.7, SelectionRules(cell_size=24, max_per_cell=3)),
        ({"cell_size": 0.5, "max_per_cell": 3}, 0.5, SelectionRules(cell_size=1, max_per_cell=3)),
    ],
)
def test_lengths_are_converted_to_pixels_of_the_network(
    rules: dict[str, float], scale: float, expected: SelectionRules
) -> None:
    assert Selection(**rules).rules(scale) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rules",
    [
        {"nms_radius": -1},
        {"border": -0.5},
        {"border": math.inf},
        {"cell_size": 10},
        {"max_per_cell": 3},
        {"cell_size": 10, "max_per_cell": -1},
        {"cell_size": 10, "max_per_cell": 4000},
        {"cell_size": float("nan"), "max_per_cell": 1},
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"not negative|belong together|from 0 \(no cells\) to 3840"):
        Selection(**rules)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0.35, 0.5, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("size", [(240, 320), (151, 203)])
@pytest.mark.parametrize("border", [1, 7, 19, 20])
def test_the_border_is_free_and_what_is_inside_is_given(
    photo: Image, scale: float, size: tuple[int, int], border: int
) -> None:
    image = photo[: size[0], : size[1]].copy()
    found = extract(image, scale, 100_000, border=border)
    ends = np.array(size[::-1]) - 1 - border
    assert (found.keypoints >= border).all() and (found.keypoints <= ends).all()
    # All positions of the network that are more than a pixel of it inside are there.
    plain = extract(image, scale, 100_000)
    inside = ((plain.keypoints >= border + 1 / scale) & (plain.keypoints <= ends - 1 / scale)).all(axis=1)
    assert inside.sum() <= len(found) <= len(plain)
    assert {*map(tuple, plain.keypoints[inside].tolist())} <= {*map(tuple, found.keypoints.tolist())}


@pytest.mark.parametrize(("scale", "radius"), [(0.5, 4), (0.5, 7), (1.0, 1), (1.0, 3), (0.7, 5)])
def test_no_keypoint_has_another_within_the_radius(photo: Image, scale: float, radius: float) -> None:
    found = extract(photo, scale, nms_radius=radius)
    assert neighbours(found, radius) == 0 < neighbours(extract(photo, scale), radius)
    best = extract(photo, scale, 1)
    np.testing.assert_array_equal(found.keypoints[0], best.keypoints[0])


def test_the_radius_keeps_one_of_equal_ones(photo: Image) -> None:
    flat = photo.copy()
    flat[40:200, 40:280] = 255
    for image in (flat, np.full((64, 80), 128, np.uint8)):
        found = extract(image, nms_radius=3, count=10_000)
        assert len(found) and neighbours(found, 3) == 0


@pytest.mark.parametrize(("scale", "size"), [(0.5, 32), (1.0, 16), (1.0, 17), (0.5, 64)])
@pytest.mark.parametrize("each", [1, 4])
def test_the_best_of_each_cell_are_kept_and_the_rest_is_filled_up_by_score(
    photo: Image, scale: float, size: int, each: int
) -> None:
    everything = extract(photo, scale, 100_000)
    cell = np.floor((everything.keypoints + 0.5) / size) @ [1, 1000]
    preferred = np.zeros(len(cell), bool)
    for number in np.unique(cell):
        preferred[np.flatnonzero(cell == number)[:each]] = True  # best first
    count = int(preferred.sum()) + 200
    found = extract(photo, scale, count, cell_size=size, max_per_cell=each)
    assert len(found) == count and (np.diff(found.scores) <= 0).all()
    expected = np.sort(np.r_[everything.scores[preferred], everything.scores[~preferred][:200]])[::-1]
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    np.testing.assert_array_equal(np.sort(per_cell(found, size)) >= each, True)
    kept = {*map(tuple, found.keypoints.tolist())}
    assert {*map(tuple, everything.keypoints[preferred].tolist())} <= kept


def test_every_cell_keeps_its_best_one_and_then_scores_decide(photo: Image) -> None:
    found = extract(photo, 0.5, 300, cell_size=32, max_per_cell=7)
    counts = per_cell(found, 32)
    assert len(found) == 300 and len(counts) == 8 * 10 and counts.max() == 7
    few = extract(photo, 0.5, 50, cell_size=32, max_per_cell=10)
    assert len(few) == 50 and per_cell(few, 32).max() == 1, "the best cells, if there are more of them than keypoints"


@pytest.mark.parametrize(
    "rules",
    [
        {"border": 19},
        {"nms_radius": 4},
        {"cell_size": 32, "max_per_cell": 3},
        {"cell_size": 100, "max_per_cell": 3840},
        {"border": 19, "nms_radius": 4, "cell_size": 40, "max_per_cell": 2},
    ],
)
def test_as_many_as_wanted_come_with_their_own_scores_and_descriptors(photo: Image, rules: dict[str, float]) -> None:
    everything = extract(photo, 0.5, 100_000)
    row = {tuple(point): index for index, point in enumerate(everything.keypoints.tolist())}
    found = extract(photo, 0.5, **rules)
    assert len(found) == COUNT
    rows = [row[tuple(point)] for point in found.keypoints.tolist()]
    assert len(set(rows)) == COUNT
    np.testing.assert_allclose(found.scores, everything.scores[rows], atol=1e-6)
    np.testing.assert_allclose(found.descriptors, everything.descriptors[rows], atol=1e-4)


def test_more_than_there_are_gives_all_that_the_rules_keep(photo: Image) -> None:
    image = photo[:61, :83].copy()
    positions = (61 - 6) * (83 - 6)
    assert len(extract(image, count=100_000, cell_size=10, max_per_cell=3)) == positions
    found = extract(image, count=100_000, nms_radius=3)
    assert positions / 49 <= len(found) < positions / 9 and (found.scores > 0).all()
    assert len(extract(image, count=100_000, border=10)) == (61 - 20) * (83 - 20)


def test_the_border_is_that_of_the_region_of_interest(photo: Image) -> None:
    found = extract(photo, count=10_000, region=Region(40, 30, 100, 80), border=15)
    assert (found.keypoints.min(axis=0) == [55, 45]).all() and (found.keypoints.max(axis=0) == [124, 94]).all()


def test_an_image_with_nothing_inside_the_border_is_refused_with_the_size_that_would_do(photo: Image) -> None:
    extractor = Extractor.load(None, 10, "onnxruntime", scale=0.5, selection=Selection(border=19))
    assert extractor.min_size == 42
    assert len(extractor(photo[:42, :42].copy())) == 1
    with pytest.raises(ValueError, match=r"inside selection.border: both sides need at least 42 pixels"):
        extractor(photo[:40, :42].copy())


def test_cells_without_texture_have_their_share_and_no_more(photo: Image) -> None:
    image = photo.copy()
    image[:, :160] = cv2.GaussianBlur(image[:, :160], (0, 0), 8)
    counts = per_cell(extract(image, count=400, cell_size=20, max_per_cell=2), 20)
    assert len(counts) == 12 * 16 and counts.min() == 2
