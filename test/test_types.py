from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import silk_ros


def features(count: int = 3, dimensions: int = 4) -> silk_ros.Features:
    return silk_ros.Features(
        keypoints=np.zeros((count, 2)), scores=np.ones(count), descriptors=np.eye(count, dimensions)
    )


def test_features_by_hand_become_float32() -> None:
    built = silk_ros.Features(keypoints=[[1, 2], [3, 4]], scores=[0.5, 0.25], descriptors=[[1, 0, 0], [0, 1, 0]])
    assert (built.keypoints.dtype, built.scores.dtype, built.descriptors.dtype) == (np.float32,) * 3
    assert built.keypoints.tolist() == [[1, 2], [3, 4]]
    assert len(built) == 2


def test_arrays_are_contiguous() -> None:
    wide = np.ones((5, 8), np.float32)
    assert silk_ros.Features(wide[:, :2], wide[:, 0], wide[:, ::2]).descriptors.flags.c_contiguous


@pytest.mark.parametrize("count", [0, 1, 7])
def test_length_is_the_number_of_keypoints(count: int) -> None:
    assert len(features(count)) == count


@pytest.mark.parametrize(
    ("field", "shape"),
    [
        ("keypoints", (3, 3)),
        ("keypoints", (3,)),
        ("scores", (2,)),
        ("scores", (3, 1)),
        ("descriptors", (2, 4)),
        ("descriptors", (3,)),
    ],
)
def test_features_of_unfitting_shapes_name_the_field(field: str, shape: tuple[int, ...]) -> None:
    arrays = {
        "keypoints": np.zeros((3, 2)),
        "scores": np.zeros(3),
        "descriptors": np.zeros((3, 4)),
        field: np.zeros(shape),
    }
    with pytest.raises(ValueError, match=f"{field} must have shape"):
        silk_ros.Features(**arrays)


@pytest.mark.parametrize(("indices", "similarity", "field"), [((3, 3), 3, "indices"), ((3, 2), 2, "similarity")])
def test_matches_of_unfitting_shapes_name_the_field(indices: tuple[int, ...], similarity: int, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must have shape"):
        silk_ros.Matches(np.zeros(indices), np.zeros(similarity))


def test_matches_know_which_of_their_rows_are_refined() -> None:
    matches = silk_ros.Matches([[0, 1], [2, 3], [4, 5]], [0.9, 0.5, 0.7], refined=[1, 0, 1])
    assert matches.refined is not None and matches.refined.tolist() == [True, False, True]
    for part in (matches.rows(np.array([2, 1])), matches.at_least(0.8)):
        assert part.refined is not None
        assert part.refined.tolist() == [matches.refined[row // 2] for row in part.indices[:, 0]]
    assert silk_ros.Matches.empty().refined is None
    with pytest.raises(ValueError, match="refined must have shape"):
        silk_ros.Matches([[0, 1]], [0.9], refined=[True, False])


def test_matches_hold_rows_and_cosines() -> None:
    matches = silk_ros.Matches([[0, 5], [2, 1]], [0.9, 0.8])
    assert (matches.indices.dtype, matches.similarity.dtype, len(matches)) == (np.int32, np.float32, 2)


def test_empty_matches_keep_their_shape() -> None:
    none = silk_ros.Matches.empty()
    assert (len(none), none.indices.shape, none.similarity.shape) == (0, (0, 2), (0,))


def test_they_print_as_one_line_without_their_arrays() -> None:
    assert repr(features(3, 4)) == "Features(3 keypoints, 4-D)"
    assert repr(features(1, 4)) == "Features(1 keypoint, 4-D)"
    assert repr(silk_ros.Matches([[0, 5], [2, 1]], [0.9, 0.8])) == "Matches(2)"


def test_fields_cannot_be_reassigned() -> None:
    with pytest.raises(FrozenInstanceError):
        features().scores = np.zeros(3)  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        silk_ros.Matches.empty().indices = np.zeros((0, 2))  # type: ignore[misc]
