from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from vocabulary_readers import DBoW2Tree, FBoWBlocks

from silk_ros.paths import default_model
from silk_ros.vocabulary import Vocabulary, check_code
from silk_ros.vocabulary_files import read_vocabulary, vocabulary_path, write_vocabulary

SHIPPED = vocabulary_path(default_model())


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """Branches of different sizes, leaves at levels 2 and 3."""
    parents = np.array([0, 0, 0, 2, 2, 1, 1, 1, 3, 5, 5, 9])
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (len(parents), 32)).astype(np.uint8)
    weights = np.where(np.isin(np.arange(1, 13), parents), 0, rng.uniform(0.5, 7, 12))
    return Vocabulary(3, 6, parents, codes, weights, "ab" * 32)


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (200, 32)).astype(np.uint8)


def test_orb_slam_reads_the_text(vocabulary: Vocabulary, codes: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "voc.txt"
    write_vocabulary(vocabulary, path)
    tree = DBoW2Tree.read(path)
    assert (tree.branching, tree.levels, tree.kinds) == (3, 6, [0, 0])  # L1 norm, TF-IDF
    assert tree.parents[1:] == vocabulary.parents.tolist()  # one node a row, and none of an empty last line
    assert tree.marked[1:] == [not children for children in tree.children[1:]]
    for code, leaf in zip(codes, vocabulary.leaves(codes)):
        found = tree.descend(code)
        assert found.path[-1] == leaf
        assert found.weight == pytest.approx(vocabulary.weights[leaf - 1], rel=1e-5)


def test_fbow_reads_its_blocks(vocabulary: Vocabulary, codes: np.ndarray, tmp_path: Path) -> None:
    path, text = tmp_path / "voc.fbow", tmp_path / "voc.txt"
    write_vocabulary(vocabulary, path)
    write_vocabulary(vocabulary, text)
    blocks, tree = FBoWBlocks.read(path), DBoW2Tree.read(text)
    assert (blocks.branching, blocks.code_bytes, blocks.code_type, blocks.alignment) == (3, 32, 0, 8)
    assert blocks.codes_at == 8 and blocks.children_at == 8 + 3 * 32
    assert blocks.name == "silk binary256 " + "ab" * 8
    assert blocks.blocks == 1 + sum(map(bool, tree.children[1:]))
    for number in range(blocks.blocks):
        only_words, children = blocks.block(number)
        assert only_words == all(child[1] >> 31 for child in children) and children
    for code in codes:
        found, expected = blocks.descend(code), tree.descend(code)
        assert found.word == expected.word and found.weight == pytest.approx(expected.weight, rel=1e-5)


def test_packed_text_is_the_text_and_comes_back(vocabulary: Vocabulary, tmp_path: Path) -> None:
    packed, text = tmp_path / "voc.txt.gz", tmp_path / "voc.txt"
    write_vocabulary(vocabulary, packed)
    write_vocabulary(vocabulary, text)
    assert gzip.decompress(packed.read_bytes()) == text.read_bytes()
    back = read_vocabulary(packed)
    assert (back.branching, back.levels, back.code_digest) == (3, 6, "ab" * 32)
    np.testing.assert_array_equal(back.parents, vocabulary.parents)
    np.testing.assert_array_equal(back.codes, vocabulary.codes)
    np.testing.assert_allclose(back.weights, vocabulary.weights, rtol=1e-5)
    again = tmp_path / "again.txt.gz"
    write_vocabulary(back, again)
    assert again.read_bytes() == packed.read_bytes()


def test_the_shipped_vocabulary_belongs_to_the_shipped_code_and_is_small() -> None:
    assert SHIPPED.stat().st_size < 3_000_000
    vocabulary = read_vocabulary(SHIPPED)
    check_code(vocabulary, default_model())
    assert np.bincount(vocabulary.depths)[vocabulary.levels - 4] == 100  # groups of ORB-SLAM
    card = default_model().with_suffix(".md").read_text(encoding="utf-8")
    assert f"`{SHIPPED.name}`" in card and hashlib.sha256(SHIPPED.read_bytes()).hexdigest() in card
    assert f"{len(vocabulary.parents):,} nodes" in card and f"{vocabulary.is_word.sum():,} words" in card


def test_the_vocabulary_of_a_model_lies_beside_it() -> None:
    assert vocabulary_path(Path("a/own.onnx")) == vocabulary_path(Path("a/own_int8.onnx"))
    assert vocabulary_path(Path("a/own.onnx")) == Path("a/own_vocabulary.txt.gz")


def rewritten(vocabulary: Vocabulary, path: Path, pattern: str, replacement: str) -> None:
    """Write a packed file whose text is changed, with its comment."""
    write_vocabulary(vocabulary, path)
    content = path.read_bytes()
    text, count = re.subn(pattern, replacement, gzip.decompress(content).decode(), count=1)
    assert count
    path.write_bytes(content[: content.index(b"\0", 10) + 1] + gzip.compress(text.encode())[10:])


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^3 6 0 0", "3 6 0", "its header is '3 6 0'"),
        (r"^3 6 0 0", "3 6 1 0", "its header is '3 6 1 0'"),
        (r"^3 6 0 0", "x 6 0 0", "invalid literal"),
        (r"\n0 0 \d+", "\n0 0 256", "rows of 35 numbers with bytes"),
        (r"\n0 0 \d+ ", "\n0 0 ", "columns"),
        (r"\n0 0 ", "\n0 1 ", "leaves with children"),
        (r"\n0 0 ", "\n1 0 ", "before its parent"),
        (r"\n0 0 ", "\nzero 0 ", "zero"),
    ],
)
def test_damaged_text_is_refused(
    vocabulary: Vocabulary, tmp_path: Path, pattern: str, replacement: str, message: str
) -> None:
    path = tmp_path / "voc.txt.gz"
    rewritten(vocabulary, path, pattern, replacement)
    with pytest.raises(ValueError, match=rf"cannot read the vocabulary '.*voc.txt.gz': .*{message}"):
        read_vocabulary(path)


def test_damaged_and_foreign_files_are_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "voc.txt.gz"
    write_vocabulary(vocabulary, path)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    foreign = gzip.compress(gzip.decompress(whole))
    for content in (b"", b"10 6 0 0\n", whole[:60], whole[:-20], bytes(changed), foreign):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot read the vocabulary"):
            read_vocabulary(path)
    with pytest.raises(FileNotFoundError, match=r"train one with python -m training\.vocabulary"):
        read_vocabulary(tmp_path / "nothing.txt.gz")


@pytest.mark.parametrize(("name", "error"), [("voc.yml", "no suffix of a vocabulary"), ("no/voc.txt", "no folder")])
def test_an_output_that_cannot_be_written_is_refused(
    vocabulary: Vocabulary, tmp_path: Path, name: str, error: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        write_vocabulary(vocabulary, tmp_path / name)
