"""Readers of vocabularies, written from the loaders' rules alone, independent of `silk_ros.vocabulary_files`."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np


@dataclass
class Leaf:
    """Where a descent ended: the word, its weight and the nodes from the root's child to the leaf."""

    word: int
    weight: float
    path: list[int]


def nearest(code: int, candidates: Iterable[tuple[int, int]]) -> int:
    """The key of the first nearest of pairs (key, code)."""
    best, least = -1, 257
    for key, candidate in candidates:
        distance = bin(code ^ candidate).count("1")
        if distance < least:
            best, least = key, distance
    return best


@dataclass
class DBoW2Tree:
    """Nodes as ORB-SLAM's loader of DBoW2's text format makes them: one for each line after the first, empty or not."""

    branching: int
    levels: int
    kinds: list[int]
    parents: list[int] = field(default_factory=lambda: [-1])
    codes: list[int] = field(default_factory=lambda: [0])
    weights: list[float] = field(default_factory=lambda: [0.0])
    marked: list[bool] = field(default_factory=lambda: [False])
    children: list[list[int]] = field(default_factory=lambda: [[]])

    @classmethod
    def read(cls, path: Path) -> DBoW2Tree:
        header, *rows = path.read_text(encoding="ascii").split("\n")
        branching, levels, *kinds = map(int, header.split())
        tree = cls(branching, levels, kinds)
        for number, row in enumerate(rows, 1):
            fields = row.split()
            assert len(fields) == 35, f"row {number}: '{row}'"
            tree.parents.append(int(fields[0]))
            tree.marked.append(int(fields[1]) > 0)
            tree.codes.append(int.from_bytes(bytes(map(int, fields[2:34])), "big"))
            tree.weights.append(float(fields[34]))
            tree.children.append([])
            tree.children[tree.parents[-1]].append(number)  # the loader has made the parent before
        return tree

    @cached_property
    def words(self) -> dict[int, int]:
        """The number of the word of each node that has one: words are the marked rows, in their order."""
        return {node: word for word, node in enumerate(node for node, marked in enumerate(self.marked) if marked)}

    def descend(self, code: np.ndarray) -> Leaf:
        value, node, path = int.from_bytes(code.tobytes(), "big"), 0, []
        while self.children[node]:
            node = nearest(value, [(child, self.codes[child]) for child in self.children[node]])
            path.append(node)
        return Leaf(self.words[node], self.weights[node], path)

    def bag_of_words(self, codes: np.ndarray) -> dict[int, float]:
        bag: dict[int, float] = {}
        for leaf in map(self.descend, codes):
            if leaf.weight > 0:
                bag[leaf.word] = bag.get(leaf.word, 0.0) + leaf.weight
        total = sum(bag.values())
        return {word: value / total for word, value in bag.items()}


def l1_score(a: dict[int, float], b: dict[int, float]) -> float:
    """1 - |a - b| / 2, as DBoW2's L1 scoring."""
    return 1 - sum(abs(a.get(word, 0) - b.get(word, 0)) for word in {*a, *b}) / 2


@dataclass
class FBoWBlocks:
    """The parameters of FBoW's header, at the offsets of its struct on 64-bit machines, and the blocks behind it."""

    name: str
    alignment: int
    blocks: int
    code_bytes: int
    block_bytes: int
    codes_at: int
    children_at: int
    code_type: int
    branching: int
    data: bytes

    @classmethod
    def read(cls, path: Path) -> FBoWBlocks:
        content = path.read_bytes()
        (signature,) = struct.unpack_from("<Q", content)
        assert signature == 55824124
        header, data = content[8:128], content[128:]
        name = header[:50].split(b"\0")[0].decode()
        alignment, blocks = struct.unpack_from("<2I", header, 52)
        padded, block_bytes, codes_at, children_at, total = struct.unpack_from("<5Q", header, 64)
        code_type, code_bytes = struct.unpack_from("<2i", header, 104)
        (branching,) = struct.unpack_from("<I", header, 112)
        assert total == len(data) == blocks * block_bytes and padded == code_bytes
        assert not any(offset % alignment for offset in (padded, block_bytes, codes_at))
        return cls(name, alignment, blocks, code_bytes, block_bytes, codes_at, children_at, code_type, branching, data)

    def block(self, number: int) -> tuple[bool, list[tuple[int, int, float]]]:
        """Whether all children of a block are words, and of each child: its code, its number and its weight."""
        start = number * self.block_bytes
        count, only_words = struct.unpack_from("<2H", self.data, start)
        children = []
        for child in range(count):
            at = start + self.codes_at + child * self.code_bytes
            code = int.from_bytes(self.data[at : at + self.code_bytes], "big")
            children.append((code, *struct.unpack_from("<If", self.data, start + self.children_at + 8 * child)))
        return bool(only_words), children

    def descend(self, code: np.ndarray) -> Leaf:
        value, block, path = int.from_bytes(code.tobytes(), "big"), 0, []
        while True:
            _, children = self.block(block)
            _, number, weight = children[nearest(value, [(i, child[0]) for i, child in enumerate(children)])]
            if number & 0x80000000:
                return Leaf(number & 0x7FFFFFFF, weight, path)
            block = number
            path.append(block)
