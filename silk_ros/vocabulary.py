"""Vocabularies of binary codes: trees of codes whose leaves are visual words, for place recognition.

vocabulary = read_vocabulary(vocabulary_path(default_model()))     # in vocabulary_files.py
a, b = (vocabulary.bag_of_words(code.encode(features.descriptors)) for features in (features0, features1))
similarity(a, b)                                                   # 1 for equal images, 0 without a common word
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .binary import BITS, METADATA_KEY, BinaryCode, Codes, binary_code, checked_codes

MAX_BRANCHING, MAX_LEVELS = 20, 10  # more are refused by the loader of ORB-SLAM
GROUP_LEVELS_UP = 4  # ORB-SLAM compares features whose nodes at level L - 4 are the same


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A tree of binary codes. Node i, from 1 to N, has row i - 1 of the arrays; node 0 is the root. Words are leaves.

    branching:   largest number of children of a node.
    levels:      L of DBoW2, at least the depth of the tree.
    parents:     (N,) int64, the parent of each node, whose number is smaller than that of the node.
    codes:       (N, 32) uint8.
    weights:     (N,) float64, inverse document frequencies of words; 0 for other nodes.
    code_digest: `code_digest` of the binary code that the vocabulary was trained for.

    Raises ValueError for arrays that are no such tree, and for a tree that a loader of the two formats cannot use.
    """

    branching: int
    levels: int
    parents: NDArray[np.int64]
    codes: Codes
    weights: NDArray[np.float64]
    code_digest: str

    def __post_init__(self) -> None:
        count = len(self.parents)
        if not (2 <= self.branching <= MAX_BRANCHING and 1 <= self.levels <= MAX_LEVELS):
            raise ValueError(
                f"a vocabulary has 2 to {MAX_BRANCHING} branches and 1 to {MAX_LEVELS} levels, "
                f"not {self.branching} and {self.levels}"
            )
        if not count or self.codes.shape != (count, BITS // 8) or self.weights.shape != (count,):
            raise ValueError("a vocabulary has a parent, a code of 32 bytes and a weight for each node")
        if (self.parents < 0).any() or (self.parents > np.arange(count)).any():
            raise ValueError("a node of the vocabulary stands before its parent")
        if np.bincount(self.parents).max() > self.branching:
            raise ValueError(f"a node of the vocabulary has more than {self.branching} children")
        depths = self.depths[1:][self.is_word]
        # The loader reserves memory for a full tree of `levels`, and keeps pointers into it.
        if depths.max() > self.levels:
            raise ValueError(f"the vocabulary is {depths.max()} levels deep, more than its header's {self.levels}")
        # ORB-SLAM leaves the group of such a word's features uninitialised.
        if depths.min() < self.levels - GROUP_LEVELS_UP:
            raise ValueError(
                f"a word of the vocabulary is above level {self.levels - GROUP_LEVELS_UP}, at which ORB-SLAM groups "
                "features: train it with more photographs"
            )

    @cached_property
    def children(self) -> NDArray[np.int64]:
        """Children (N + 1, branching) of each node, from the root; filled up with 0."""
        count = len(self.parents)
        order = np.argsort(self.parents, kind="stable")
        sorted_parents = self.parents[order]
        table = np.zeros((count + 1, self.branching), np.int64)
        table[sorted_parents, np.arange(count) - np.searchsorted(sorted_parents, sorted_parents)] = order + 1
        return table

    @cached_property
    def depths(self) -> NDArray[np.int64]:
        """The level (N + 1,) of each node; the root's is 0."""
        depths = [0]
        for parent in self.parents.tolist():
            depths.append(depths[parent] + 1)
        return np.array(depths)

    @cached_property
    def is_word(self) -> NDArray[np.bool_]:
        """Whether each node (N,) is a leaf. Words are numbered in this order."""
        return self.children[1:, 0] == 0

    def leaves(self, codes: Codes) -> NDArray[np.int64]:
        """The node (M,) that each code (M, 32) ends in: always the nearest child, the first one of equally near.

        Raises ValueError for codes of another shape or type.
        """
        codes = checked_codes(codes)
        nodes, inner = np.zeros(len(codes), np.int64), np.arange(len(codes))
        while len(inner):
            children = self.children[nodes[inner]]
            difference = self.codes[children - 1] ^ codes[inner, None]
            distance = np.unpackbits(difference, axis=2).sum(axis=2, dtype=np.int64)
            nearest = np.where(children > 0, distance, BITS + 1).argmin(axis=1)
            nodes[inner] = children[np.arange(len(inner)), nearest]
            inner = inner[~self.is_word[nodes[inner] - 1]]
        return nodes

    def bag_of_words(self, codes: Codes) -> NDArray[np.float64]:
        """Term frequency times inverse document frequency of each node (N,) in an image's codes (M, 32); sum 1 or 0.

        Raises ValueError for codes of another shape or type.
        """
        rows = self.leaves(codes) - 1
        bag = np.bincount(rows, self.weights[rows], minlength=len(self.weights))
        return bag / max(bag.sum(), np.finfo(np.float64).tiny)


def similarity(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The L1 score of two bags of words of one vocabulary, from 0 to 1, as DBoW2 computes it."""
    return float(np.minimum(a, b).sum())


def code_digest(code: BinaryCode) -> str:
    """SHA-256, in hexadecimal, of a binary code's entry in the metadata of a model file."""
    return hashlib.sha256(code.to_metadata()[METADATA_KEY].encode("ascii")).hexdigest()


def check_code(vocabulary: Vocabulary, model: Path) -> None:
    """Raise ValueError, naming the fix, if the vocabulary was trained for another code than that of a model file.

    Raises what `binary_code` raises.
    """
    if vocabulary.code_digest != code_digest(binary_code(model)):
        raise ValueError(
            f"the vocabulary belongs to another binary code than that of '{model}': train it again with "
            f"python -m training.vocabulary {model} --images PHOTOS"
        )
