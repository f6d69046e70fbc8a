from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vocabulary_readers import DBoW2Tree

from silk_ros.vocabulary import Vocabulary
from silk_ros.vocabulary_files import write_vocabulary
from training import vocabulary_tree
from training.vocabulary_tree import BRANCHING, DEPTH, LEVELS, grow, signs, split, train_vocabulary

PHOTOGRAPHS = 12


def codes_of_photographs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """2400 codes that stray around 60 others, and the photograph of each; a photograph shows a third of the 60."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, (60, 256))
    codes, numbers = [], []
    for number in range(PHOTOGRAPHS):
        shown = rng.choice(60, 20, replace=False)
        bits = kinds[rng.choice(shown, 200)] ^ (rng.random((200, 256)) < 0.1)
        codes.append(np.packbits(bits.astype(np.uint8), axis=1))
        numbers.append(np.full(200, number))
    return np.concatenate(codes), np.concatenate(numbers)


@pytest.fixture(scope="module")
def trained() -> tuple[np.ndarray, np.ndarray, Vocabulary]:
    codes, numbers = codes_of_photographs()
    return codes, numbers, train_vocabulary(codes, numbers, "0" * 64)


def test_each_training_code_descends_to_the_leaf_that_it_was_counted_in(tmp_path: Path) -> None:
    codes, numbers = codes_of_photographs()
    parents, centres, leaves = grow(codes, 10_000, 0)
    path = tmp_path / "voc.txt"
    write_vocabulary(train_vocabulary(codes, numbers, "0" * 64, 10_000), path)
    tree = DBoW2Tree.read(path)
    assert tree.parents[1:] == parents.tolist()
    assert tree.codes[1:] == [int.from_bytes(centre.tobytes(), "big") for centre in centres]
    for code, leaf in zip(codes[::7], leaves[::7]):
        found = tree.descend(code)
        assert found.path[-1] == leaf
        value = int.from_bytes(code.tobytes(), "big")
        for node in found.path:  # the least distance at every level
            siblings = tree.children[tree.parents[node]]
            distances = {child: bin(value ^ tree.codes[child]).count("1") for child in siblings}
            assert distances[node] == min(distances.values())


def test_weights_are_inverse_document_frequencies(trained: tuple[np.ndarray, np.ndarray, Vocabulary]) -> None:
    codes, numbers, vocabulary = trained
    leaves = vocabulary.leaves(codes)
    assert not vocabulary.weights[~vocabulary.is_word].any()
    for word in np.flatnonzero(vocabulary.is_word) + 1:
        containing = len(set(numbers[leaves == word]))
        assert vocabulary.weights[word - 1] == pytest.approx(np.log(PHOTOGRAPHS / containing))


def test_the_tree_has_the_shape_that_orb_slam_needs(trained: tuple[np.ndarray, np.ndarray, Vocabulary]) -> None:
    vocabulary = trained[2]
    assert (vocabulary.branching, vocabulary.levels) == (BRANCHING, LEVELS)
    assert vocabulary.depths.max() <= DEPTH
    assert BRANCHING < np.sum(vocabulary.depths == LEVELS - 4) <= BRANCHING**2
    assert vocabulary.depths[1:][vocabulary.is_word].min() >= LEVELS - 4


def test_the_seed_decides(trained: tuple[np.ndarray, np.ndarray, Vocabulary]) -> None:
    codes, numbers, vocabulary = trained
    again, other = (train_vocabulary(codes, numbers, "0" * 64, seed=seed) for seed in (0, 1))
    for name in ("parents", "codes", "weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(vocabulary, name))
    assert other.codes.shape != vocabulary.codes.shape or (other.codes != vocabulary.codes).any()


def test_the_largest_nodes_are_split_until_the_tree_is_full() -> None:
    codes, numbers = codes_of_photographs()
    small = train_vocabulary(codes, numbers, "0" * 64, max_nodes=115)
    assert 100 <= len(small.parents) <= 115
    third = small.parents[small.depths[1:] == 3]
    sizes = {node: np.sum([node in path for path in paths(small, codes)]) for node in range(11, 111)}
    split_nodes = set(third.tolist())
    assert split_nodes and min(sizes[node] for node in split_nodes) >= max(
        size for node, size in sizes.items() if node not in split_nodes
    )


def paths(vocabulary: Vocabulary, codes: np.ndarray) -> list[set[int]]:
    """The nodes that each code passes."""
    found = []
    for leaf in vocabulary.leaves(codes).tolist():
        passed = set()
        while leaf:
            passed.add(leaf)
            leaf = int(vocabulary.parents[leaf - 1])
        found.append(passed)
    return found


def test_centres_are_majorities_and_groups_are_found() -> None:
    rng = np.random.default_rng(3)
    kinds = rng.integers(0, 2, (BRANCHING, 256))
    truth = rng.integers(0, BRANCHING, 1000)
    codes = np.packbits((kinds[truth] ^ (rng.random((1000, 256)) < 0.05)).astype(np.uint8), axis=1)
    centres, labels = split(codes, np.random.default_rng(0))
    assert len({*zip(truth.tolist(), labels.tolist())}) == len(centres) == BRANCHING
    for label, centre in enumerate(centres):
        own = np.unpackbits(codes[labels == label], axis=1)
        np.testing.assert_array_equal(np.unpackbits(centre), 2 * own.sum(axis=0) >= len(own))


def test_a_sample_decides_the_centres_of_many_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = codes_of_photographs()[0]
    monkeypatch.setattr(vocabulary_tree, "SAMPLE", 300)
    monkeypatch.setattr(vocabulary_tree, "CHUNK", 1000)
    centres, labels = split(codes, np.random.default_rng(0))
    assert len(labels) == len(codes)
    np.testing.assert_array_equal(labels, (signs(codes) @ signs(centres).T).argmax(axis=1))


def test_equal_codes_stay_one_word_and_few_codes_are_refused() -> None:
    codes, numbers = codes_of_photographs()
    equal = np.repeat(codes[:1], 500, axis=0)
    with pytest.raises(ValueError, match="500 codes are too few for a vocabulary: give more photographs"):
        train_vocabulary(equal, np.arange(500), "0" * 64)
    with pytest.raises(ValueError, match=r"above level 2.*more photographs"):
        train_vocabulary(codes[:50], numbers[:50], "0" * 64)
    both = train_vocabulary(np.concatenate([codes, equal]), np.concatenate([numbers, np.arange(500) % 12]), "0" * 64)
    leaf = int(both.leaves(codes[:1])[0])
    assert both.is_word[leaf - 1]
