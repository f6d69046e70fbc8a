"""Trees of binary codes by hierarchical k-majority: k-means with Hamming distances and centres by majority of each bit.

Codes are compared as vectors of +-1, whose dot product is 256 - 2 * distance; float32 holds all sums exactly, so that
the result does not depend on the processor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from silk_ros.binary import BITS, Codes
from silk_ros.vocabulary import Vocabulary

BRANCHING, DEPTH = 10, 5
# L in the file's header. ORB-SLAM compares features of the same group, a node at level L - 4. Like its own vocabulary,
# this one must have 100 groups; with 10, the comparison takes several times as long and finds more wrong matches.
LEVELS = 6
MAX_NODES = 66_000  # the packed file has 44 bytes for each, since codes hardly compress
FEWEST_CODES = 2 * BRANCHING  # of a node that is split
SAMPLE = 50_000  # codes of a node that decide its centres
ROUNDS = 10  # of k-majority
CHUNK = 65_536  # codes that are compared at once

Signs = NDArray[np.float32]


def train_vocabulary(
    codes: Codes, photographs: NDArray[np.int64], digest: str, max_nodes: int = MAX_NODES, seed: int = 0
) -> Vocabulary:
    """A vocabulary of at most `max_nodes` nodes from codes (M, 32) and the number (M,) of the photograph of each.

    The weight of a word is ln(photographs / photographs that have the word). Raises ValueError for too few codes.
    """
    parents, centres, leaves = grow(codes, max_nodes, seed)
    seen = np.unique(np.stack([leaves, photographs]), axis=1)[0]
    containing = np.bincount(seen, minlength=len(parents) + 1)[1:]
    total = len(np.unique(photographs))
    weights = np.where(containing > 0, np.log(total / np.maximum(containing, 1)), 0.0)
    return Vocabulary(BRANCHING, LEVELS, parents, centres, weights, digest)


def grow(codes: Codes, max_nodes: int, seed: int) -> tuple[NDArray[np.int64], Codes, NDArray[np.int64]]:
    """Parents (N,) and centres (N, 32) of a tree, and the leaf (M,), from 1 to N, of each code (M, 32).

    Level by level, the nodes with the most codes are split first, until `max_nodes` are reached.
    """
    rng = np.random.default_rng(seed)
    parents: list[int] = []
    centres: list[Codes] = []
    leaves = np.zeros(len(codes), np.int64)
    level = [(0, np.arange(len(codes)))]
    for depth in range(1, DEPTH + 1):
        following = []
        for node, rows in tqdm(sorted(level, key=lambda item: -len(item[1])), f"level {depth} of {DEPTH}", unit="node"):
            if len(rows) < FEWEST_CODES or len(parents) + BRANCHING > max_nodes:
                continue
            found, labels = split(codes[rows], rng)
            if len(found) < 2:
                continue
            leaves[rows] = len(parents) + 1 + labels
            following += [(len(parents) + 1 + label, rows[labels == label]) for label in range(len(found))]
            parents += [node] * len(found)
            centres.append(found)
        level = following
    if not parents:
        raise ValueError(f"{len(codes)} codes are too few for a vocabulary: give more photographs, with texture")
    return np.array(parents), np.concatenate(centres), leaves


def split(codes: Codes, rng: np.random.Generator) -> tuple[Codes, NDArray[np.int64]]:
    """Centres (at most BRANCHING, 32) of codes (M, 32), and the row (M,) of the centre of each code."""
    sample = signs(codes if len(codes) <= SAMPLE else codes[rng.choice(len(codes), SAMPLE, replace=False)])
    centres = first_centres(sample, rng)
    before = None
    for _ in range(ROUNDS):
        labels = (sample @ centres.T).argmax(axis=1)
        if before is not None and (labels == before).all():
            break
        before = labels
        member = (labels[:, None] == np.arange(len(centres))).astype(np.float32)
        majority = np.where(member.T @ sample >= 0, np.float32(1), np.float32(-1))
        centres = np.where(member.any(axis=0)[:, None], majority, centres)
    labels = np.concatenate(
        [(signs(codes[start : start + CHUNK]) @ centres.T).argmax(axis=1) for start in range(0, len(codes), CHUNK)]
    )
    used, labels = np.unique(labels, return_inverse=True)
    return np.packbits(centres[used] > 0, axis=1), labels


def first_centres(sample: Signs, rng: np.random.Generator) -> Signs:
    """At most BRANCHING different rows of a sample (M, 256), far from each other (k-means++)."""
    centres = [sample[rng.integers(len(sample))]]
    distance = np.full(len(sample), np.inf)
    while len(centres) < BRANCHING:
        distance = np.minimum(distance, (BITS - sample @ centres[-1]) / 2)
        squared = distance**2
        if not squared.any():
            break
        centres.append(sample[rng.choice(len(sample), p=squared / squared.sum())])
    return np.stack(centres)


def signs(codes: Codes) -> Signs:
    """Codes (M, 32) as vectors (M, 256) of +-1."""
    return np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1
