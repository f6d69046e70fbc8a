from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from silk_ros.binary import BITS, BinaryCode, binary_code
from silk_ros.paths import default_model
from silk_ros.vocabulary import Vocabulary, check_code, code_digest, similarity


def code_of(*bits: int) -> np.ndarray:
    """A code (32,) with the given bits set."""
    values = np.zeros(BITS, np.uint8)
    values[list(bits)] = 1
    return np.packbits(values)


def tree(**changed: object) -> Vocabulary:
    """Nodes 1 and 2 under the root, 3 and 4 under 1; the words are 2, 3 and 4."""
    values = {
        "branching": 2,
        "levels": 2,
        "parents": np.array([0, 0, 1, 1]),
        "codes": np.stack([code_of(), code_of(*range(8)), code_of(0), code_of(1)]),
        "weights": np.array([0, 1.0, 2.0, 3.0]),
        "code_digest": "0" * 64,
    }
    return Vocabulary(**(values | changed))  # type: ignore[arg-type]


def test_a_code_ends_in_the_nearest_leaf_and_of_equal_ones_in_the_first() -> None:
    codes = np.stack([code_of(0, 100), code_of(1), code_of(), code_of(*range(1, 8)), code_of(0, 1, 2, 3)])
    assert tree().leaves(codes).tolist() == [3, 4, 3, 2, 3]
    assert tree().leaves(codes[:0]).tolist() == []


def test_the_shape_of_the_tree() -> None:
    vocabulary = tree()
    assert vocabulary.children.tolist() == [[1, 2], [3, 4], [0, 0], [0, 0], [0, 0]]
    assert vocabulary.is_word.tolist() == [False, True, True, True]
    assert vocabulary.depths.tolist() == [0, 1, 1, 2, 2]


def test_a_bag_of_words_is_frequency_times_weight_and_sums_to_one() -> None:
    codes = np.stack([code_of(0), code_of(0), code_of(1)])
    np.testing.assert_allclose(tree().bag_of_words(codes), [0, 0, 4 / 7, 3 / 7])
    assert tree().bag_of_words(codes[:0]).tolist() == [0, 0, 0, 0]


def test_similarity_is_the_l1_score() -> None:
    a, b = np.array([0, 0.5, 0.5]), np.array([0.25, 0.75, 0])
    assert similarity(a, b) == 1 - np.abs(a - b).sum() / 2 == 0.5
    assert similarity(a, a) == 1 and similarity(a, np.zeros(3)) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"branching": 21}, "2 to 20 branches and 1 to 10 levels"),
        ({"levels": 11}, "2 to 20 branches and 1 to 10 levels"),
        ({"parents": np.array([0, 0, 1])}, "a parent, a code of 32 bytes and a weight"),
        ({"codes": np.zeros((4, 16), np.uint8)}, "a parent, a code of 32 bytes and a weight"),
        ({"parents": np.array([0, 0, 3, 1])}, "stands before its parent"),
        ({"parents": np.array([-1, 0, 1, 1])}, "stands before its parent"),
        ({"parents": np.array([0, 0, 0, 1])}, "more than 2 children"),
        ({"levels": 1}, "2 levels deep, more than its header's 1"),
        ({"levels": 6}, "above level 2, at which ORB-SLAM groups features: train it with more photographs"),
    ],
)
def test_what_a_loader_cannot_use_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tree(**changed)


def test_codes_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \(N, 32\) uint8"):
        tree().bag_of_words(np.zeros((3, 32), np.float32))


def test_a_vocabulary_belongs_to_one_code() -> None:
    code = binary_code(default_model())
    own = code_digest(code)
    assert len(own) == 64
    assert code_digest(BinaryCode(code.projection, code.thresholds + 1)) != own
    check_code(tree(code_digest=own), default_model())
    with pytest.raises(ValueError, match=r"another binary code than that of '.*': train it again with python -m"):
        check_code(tree(), default_model())
    with pytest.raises(FileNotFoundError, match="no model file"):
        check_code(tree(), Path("nothing.onnx"))
