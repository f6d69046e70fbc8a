from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import silk_ros
from silk_ros import Extractor, Features
from silk_ros.extractor import Region

Image = NDArray[np.uint8]


def by_position(features: Features) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Keypoints, scores and descriptors in the order of the rows and columns of the image."""
    order = np.lexsort(features.keypoints.T)
    return features.keypoints[order], features.scores[order], features.descriptors[order]


def assert_same(a: Features, b: Features) -> None:
    np.testing.assert_array_equal(a.keypoints, b.keypoints)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.descriptors, b.descriptors)


def scaled(extractor: Extractor, scale: float) -> Extractor:
    return Extractor(extractor.backend, scale)


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_features_keep_the_contract(photo: Image, scale: float) -> None:
    features = Extractor.load(max_keypoints=300, scale=scale)(photo)
    assert len(features) == 300
    assert (features.keypoints.shape, features.scores.shape, features.descriptors.shape) == (
        (300, 2),
        (300,),
        (300, 32),
    )
    assert (features.keypoints.dtype, features.scores.dtype, features.descriptors.dtype) == (np.float32,) * 3
    assert (np.diff(features.scores) <= 0).all()
    assert ((features.scores >= 0) & (features.scores <= 1)).all()
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-5)
    assert len(np.unique(features.keypoints, axis=0)) == 300


def test_the_default_cap_is_a_thousand(photo: Image) -> None:
    assert len(Extractor.load()(photo)) == 1000


@pytest.mark.parametrize("cap", [1, 2, 999, 1001, 6000])
def test_max_keypoints_is_a_hard_cap_that_keeps_the_best(extractor: Extractor, photo: Image, cap: int) -> None:
    features = Extractor.load(max_keypoints=cap)(photo[:96, :128])
    assert len(features) == cap
    np.testing.assert_allclose(features.scores, extractor(photo[:96, :128]).scores[:cap], atol=1e-6)


def test_a_cap_above_the_positions_gives_every_position(extractor: Extractor, photo: Image) -> None:
    keypoints, _, _ = by_position(extractor(photo[:40, :50]))
    expected = np.stack(np.meshgrid(np.arange(3, 47), np.arange(3, 37)), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(keypoints, expected)


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_image_size_may_change_between_calls(extractor: Extractor, photo: Image, scale: float) -> None:
    extract = scaled(extractor, scale)
    small, large = photo[:48, :64], photo[:80, :75]
    first = extract(small)
    assert len(extract(large)) != len(first)
    assert_same(extract(small), first)


@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, (11, 6)), (1.0, (1, 0)), (0.5, (10, 6)), (0.5, (2, 0)), (0.25, (8, 4))]
)
def test_a_shifted_image_shifts_its_keypoints_exactly(
    extractor: Extractor, photo: Image, scale: float, shift: tuple[int, int]
) -> None:
    extract = scaled(extractor, scale)
    full, crop = photo[:96, :128], photo[shift[1] : 88, shift[0] : 120]
    expected, expected_scores, expected_descriptors = by_position(extract(full))
    keypoints, scores, descriptors = by_position(extract(crop))
    keypoints = keypoints + np.float32(shift)
    inside = ((expected >= keypoints.min(axis=0)) & (expected <= keypoints.max(axis=0))).all(axis=1)
    np.testing.assert_array_equal(keypoints, expected[inside])
    np.testing.assert_allclose(scores, expected_scores[inside], atol=1e-5)
    np.testing.assert_allclose(descriptors, expected_descriptors[inside], atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4])
def test_keypoints_of_an_enlarged_image_are_at_the_centres_of_its_blocks(
    extractor: Extractor, photo: Image, factor: int
) -> None:
    small = photo[:48, :64]
    features = scaled(extractor, 1 / factor)(small.repeat(factor, axis=0).repeat(factor, axis=1))
    original = extractor(small)
    np.testing.assert_array_equal(features.keypoints, original.keypoints * factor + (factor - 1) / 2)
    np.testing.assert_array_equal(features.scores, original.scores)


def test_shrinking_averages_pixels_instead_of_skipping_some(extractor: Extractor, photo: Image) -> None:
    small = np.clip(photo[:48, :64], 10, 245)
    stripes = np.tile([10, -10, -10, 10], 64)  # nothing on the average of a block of four
    striped = (small.repeat(4, axis=0).repeat(4, axis=1) + stripes).astype(np.uint8)
    np.testing.assert_array_equal(scaled(extractor, 0.25)(striped).scores, extractor(small).scores)


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.7, 1.0, 1.5, 2.0])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (51, 63)])
def test_keypoints_lie_symmetrically_in_the_image(
    extractor: Extractor, photo: Image, scale: float, height: int, width: int
) -> None:
    keypoints = scaled(extractor, scale)(photo[:height, :width]).keypoints
    np.testing.assert_allclose(keypoints.min(axis=0) + keypoints.max(axis=0), [width - 1, height - 1], atol=1e-4)


@pytest.mark.parametrize(("x", "y"), [(30, 20), (31, 20), (30, 21)])
def test_a_keypoint_sees_the_pixels_around_it(extractor: Extractor, photo: Image, x: int, y: int) -> None:
    image = photo[:40, :60].copy()
    keypoints, _, before = by_position(extractor(image))
    image[y, x] = 255 - image[y, x]
    _, _, after = by_position(extractor(image))
    changed = keypoints[(np.abs(after - before) > 1e-4).any(axis=1)]
    np.testing.assert_array_equal([changed.min(axis=0), changed.max(axis=0)], [[x - 3, y - 3], [x + 3, y + 3]])


@pytest.mark.parametrize(("side", "scale", "centre"), [(7, 1.0, 3.0), (14, 0.5, 6.5), (10, 0.7, 4.5)])
def test_the_smallest_image_has_one_keypoint_in_its_middle(
    extractor: Extractor, photo: Image, side: int, scale: float, centre: float
) -> None:
    extract = scaled(extractor, scale)
    assert extract.min_size == side
    np.testing.assert_allclose(extract(photo[:side, :side]).keypoints, [[centre, centre]], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "scale", "side"),
    [((6, 100), 1.0, 7), ((100, 6), 1.0, 7), ((0, 0), 1.0, 7), ((13, 50), 0.5, 14), ((4, 50), 1.5, 5)],
)
def test_too_small_an_image_is_told_the_size_it_needs(
    extractor: Extractor, shape: tuple[int, int], scale: float, side: int
) -> None:
    with pytest.raises(ValueError, match=f"both sides need at least {side} pixels at scale {scale:g}"):
        scaled(extractor, scale)(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    "view",
    [lambda image: image[::2, ::3], lambda image: image[::-1, ::-1], lambda image: image.T, np.asfortranarray],
    ids=["strided", "flipped", "transposed", "fortran"],
)
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_memory_layout_does_not_matter(
    extractor: Extractor, photo: Image, scale: float, view: Callable[[Image], Image]
) -> None:
    extract, image = scaled(extractor, scale), view(photo[:60, :90])
    assert not image.flags.c_contiguous
    assert_same(extract(image), extract(np.ascontiguousarray(image)))


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("filters", [{}, {"ratio": 0.8}, {"min_similarity": 0.5}, {"double_softmax": 0.5}])
def test_an_image_of_nothing_is_extracted_and_matched(level: int, filters: dict[str, float]) -> None:
    extract = Extractor.load(max_keypoints=500)
    a, b = extract(np.full((60, 80), level, np.uint8)), extract(np.zeros((60, 80), np.uint8))
    assert len(a) == 500
    np.testing.assert_allclose(np.linalg.norm(a.descriptors, axis=1), 1, atol=1e-5)
    indices = silk_ros.match(a, b, **filters).indices
    assert all(len(np.unique(column)) == len(indices) for column in indices.T)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40), np.float32),
        np.zeros((40, 40), np.uint16),
        np.zeros((40, 40), bool),
        [[0] * 40] * 40,
        None,
        "image.png",
    ],
    ids=["float", "uint16", "bool", "list", "None", "path"],
)
def test_anything_but_uint8_is_told_to_convert(extractor: Extractor, image: object) -> None:
    with pytest.raises(TypeError, match=r"must be a numpy array of uint8, not .*: .*astype\(numpy.uint8\)"):
        extractor(image)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(40, 40, 3), (40, 40, 1), (1, 40, 40), (40,)])
def test_a_colour_image_is_told_to_be_made_grey(extractor: Extractor, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must have shape \(height, width\), .*COLOR_BGR2GRAY"):
        extractor(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("cap", [0, -5, 1.5, 1000.0, "many", None, True])
def test_a_useless_max_keypoints_is_explained(cap: object) -> None:
    with pytest.raises(ValueError, match="max_keypoints must be a whole number of at least 1"):
        Extractor.load(max_keypoints=cap)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0, -1, 4.5, float("nan"), float("inf")])
def test_a_useless_scale_is_explained(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be above 0 and at most 4"):
        Extractor.load(scale=scale)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_may_be_given(kind: type, photo: Image) -> None:
    path = kind(silk_ros.paths.default_model())
    assert_same(Extractor.load(path, max_keypoints=50)(photo), Extractor.load(max_keypoints=50)(photo))


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing.onnx"):
        Extractor.load(tmp_path / "missing.onnx")


def test_neighbouring_frames_match_where_they_should(photo: Image) -> None:
    extract = Extractor.load(max_keypoints=1000)
    a, b = extract(photo[:200, :280]), extract(photo[4:204, 6:286])
    matches = silk_ros.match(a, b)
    motion = a.keypoints[matches.indices[:, 0]] - b.keypoints[matches.indices[:, 1]]
    assert len(matches) > 500
    assert (motion == (6, 4)).all(axis=1).mean() > 0.8


@pytest.mark.parametrize("threads", [-1, 2.5, "1", 1000])
def test_threads_are_checked(threads: object) -> None:
    with pytest.raises(ValueError, match="threads must be a whole number from 0 to 256"):
        Extractor.load(threads=threads)  # type: ignore[arg-type]


def test_it_says_what_runs() -> None:
    said = str(Extractor.load(max_keypoints=7, backend="onnxruntime", scale=0.5))
    assert said == (
        "Extractor(silk_vggnp_mu.onnx in onnxruntime on CPU, fp32 (ONNX Runtime's default), "
        "up to 7 keypoints at scale 0.5)"
    )
    asked_for = str(Extractor.load(max_keypoints=7, backend="onnxruntime", precision="fp32"))
    assert "on CPU, fp32, up to 7" in asked_for


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_region_of_interest_gives_what_its_part_of_the_image_gives(photo: Image, scale: float) -> None:
    extractor = Extractor.load(max_keypoints=100, scale=scale, region=Region(40, 20, 160, 120))
    expected = Extractor.load(max_keypoints=100, scale=scale)(np.ascontiguousarray(photo[20:140, 40:200]))
    features = extractor(photo)
    np.testing.assert_array_equal(features.keypoints, expected.keypoints + np.float32([40, 20]))
    np.testing.assert_array_equal(features.descriptors, expected.descriptors)


def test_region_without_a_width_reaches_to_the_end_of_any_image(photo: Image) -> None:
    extractor = Extractor.load(max_keypoints=50_000, region=Region(x=60, y=50))  # every position
    for image in (photo[:200, :300], photo[:100, :150]):
        keypoints = extractor(np.ascontiguousarray(image)).keypoints
        np.testing.assert_array_equal(keypoints.min(axis=0), [63, 53])
        np.testing.assert_array_equal(keypoints.max(axis=0), [image.shape[1] - 4, image.shape[0] - 4])


@pytest.mark.parametrize(
    "region", [Region(200, 0), Region(0, 0, 201, 10), Region(150, 0, 100, 0), Region(196, 0, 4, 0)]
)
def test_region_that_the_image_does_not_hold_is_refused(photo: Image, region: Region) -> None:
    extractor = Extractor.load(max_keypoints=10, region=region)
    with pytest.raises(ValueError, match="region of interest"):
        extractor(np.ascontiguousarray(photo[:150, :200]))


def test_region_has_no_negative_values() -> None:
    with pytest.raises(ValueError, match="negative"):
        Region(-1, 0)


def test_more_than_the_network_should_see_is_refused_before_it_is_made() -> None:
    extractor = Extractor.load(max_keypoints=10, scale=4.0)
    with pytest.raises(ValueError, match="lower the scale"):
        extractor(np.zeros((1080, 1920), np.uint8))
