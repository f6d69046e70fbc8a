"""Files of vocabularies: DBoW2's text format, which ORB-SLAM2 and 3 read, and FBoW's, which stella_vslam reads.

DBoW2: a line "branching levels scoring weighting", then a line for each node in the order of their numbers: its parent,
whether it is a leaf, the 32 bytes of its code and its weight.
FBoW: a header, then a block of fixed size for each inner node, with the codes of its children and, of each child, the
number of its block or its word and weight.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from .binary import BITS
from .vocabulary import Vocabulary

TEXT, PACKED, FBOW = ".txt", ".txt.gz", ".fbow"
L1_NORM, TF_IDF = 0, 0  # numbers of DBoW2
CODE_BYTES = BITS // 8
COLUMNS = 2 + CODE_BYTES + 1
GZIP_COMMENT_ONLY = b"\x1f\x8b\x08\x10"  # magic number, deflate, the flag of a comment
MAX_PACKED_BYTES = 64 << 20  # a full tree of DBoW2's usual 10 branches and 6 levels has about 40 MB
FBOW_SIGNATURE, FBOW_ALIGNMENT, FBOW_IS_WORD = 55824124, 8, 1 << 31


def vocabulary_path(model: Path) -> Path:
    """The path of the vocabulary of a model file, beside it."""
    return model.with_name(f"{model.stem.removesuffix('_int8')}_vocabulary{PACKED}")


def check_output(path: Path) -> None:
    """Raise ValueError or FileNotFoundError, naming the fix, for a path that `write_vocabulary` cannot write."""
    if not path.name.endswith((TEXT, PACKED, FBOW)):
        raise ValueError(f"'{path}' has no suffix of a vocabulary: {TEXT} and {PACKED} for ORB-SLAM, {FBOW} for FBoW")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder '{path.parent}' for '{path.name}': make it first")


def write_vocabulary(vocabulary: Vocabulary, path: Path) -> None:
    """Write DBoW2's text format (.txt, or .txt.gz with the digest of the code) or FBoW's (.fbow), by the suffix.

    Raises what `check_output` raises, and OSError.
    """
    check_output(path)
    if path.name.endswith(FBOW):
        path.write_bytes(_fbow(vocabulary))
    elif path.name.endswith(PACKED):
        path.write_bytes(_packed(_text(vocabulary), _comment(vocabulary.code_digest)))
    else:
        path.write_bytes(_text(vocabulary))


def read_vocabulary(path: str | Path) -> Vocabulary:
    """Read a .txt.gz file that `write_vocabulary` wrote.

    Raises FileNotFoundError, or ValueError, naming the fix, for a damaged or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no vocabulary '{path}': train one with python -m training.vocabulary")
    with path.open("rb") as file:
        content = file.read(MAX_PACKED_BYTES)
    try:
        comment = content[10 : content.index(b"\0", 10)].decode("latin-1")
        found = re.fullmatch(_comment("([0-9a-f]{64})"), comment)
        if not content.startswith(GZIP_COMMENT_ONLY) or not found:
            raise ValueError(f"it is no {PACKED} file that training.vocabulary wrote")
        text = gzip.decompress(content).decode("ascii")
        return _parsed(text, found[1])
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"cannot read the vocabulary '{path}': {error}; train or install it again") from error


def _comment(digest: str) -> str:
    return f"binary256 sha256 {digest}"


def _packed(text: bytes, comment: str) -> bytes:
    """A gzip file (RFC 1952) with a comment, which `gzip.open` cannot write, and without a time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    header = GZIP_COMMENT_ONLY + bytes(4) + b"\x02\xff" + comment.encode("latin-1") + b"\0"
    return header + packer.compress(text) + packer.flush() + struct.pack("<II", zlib.crc32(text), len(text))


def _text(vocabulary: Vocabulary) -> bytes:
    rows = zip(vocabulary.parents, vocabulary.is_word, vocabulary.codes.tolist(), vocabulary.weights)
    lines = [f"{vocabulary.branching} {vocabulary.levels} {L1_NORM} {TF_IDF}"]
    lines += [f"{parent} {word:d} {' '.join(map(str, code))} {weight:g}" for parent, word, code, weight in rows]
    # No newline at the end: ORB-SLAM reads lines until the end of the file, and would make a node of an empty one.
    return "\n".join(lines).encode("ascii")


def _parsed(text: str, digest: str) -> Vocabulary:
    """The vocabulary in DBoW2's text format. Raises ValueError."""
    header, _, nodes = text.partition("\n")
    branching, levels, *kinds = map(int, header.split())
    if kinds != [L1_NORM, TF_IDF]:
        raise ValueError(f"its header is '{header[:40]}'")
    table = np.loadtxt(io.StringIO(nodes), ndmin=2)
    codes = table[:, 2:-1].astype(np.uint8)
    if table.shape[1] != COLUMNS or (codes != table[:, 2:-1]).any():
        raise ValueError(f"its nodes are not rows of {COLUMNS} numbers with bytes as codes")
    vocabulary = Vocabulary(branching, levels, table[:, 0].astype(np.int64), codes, table[:, -1], digest)
    if (vocabulary.is_word != table[:, 1]).any():
        raise ValueError("it has leaves with children, or inner nodes without any")
    return vocabulary


def _fbow(vocabulary: Vocabulary) -> bytes:
    inner = np.flatnonzero(vocabulary.children[:, 0])  # the nodes of the blocks; the root is first
    nodes = vocabulary.children[inner]
    exists, rows = nodes > 0, np.maximum(nodes - 1, 0)
    child = np.dtype([("number", "<u4"), ("weight", "<f4")])
    block = np.dtype(
        [
            ("count", "<u2"),
            ("only_words", "<u2"),
            ("node", "<u4"),
            ("codes", "u1", (vocabulary.branching, CODE_BYTES)),
            ("children", child, (vocabulary.branching,)),
        ]
    )
    words = np.cumsum(vocabulary.is_word) - 1 + FBOW_IS_WORD
    numbers = np.where(vocabulary.is_word, words, np.searchsorted(inner, np.arange(1, len(vocabulary.parents) + 1)))
    blocks = np.zeros(len(inner), block)
    blocks["count"] = exists.sum(axis=1)
    blocks["only_words"] = (vocabulary.is_word[rows] | ~exists).all(axis=1)
    blocks["node"] = inner
    blocks["codes"] = vocabulary.codes[rows] * exists[..., None]
    blocks["children"]["number"] = numbers[rows] * exists
    blocks["children"]["weight"] = vocabulary.weights[rows] * exists
    offsets = [block.fields[name][1] for name in ("codes", "children")] if block.fields else []
    # The layout of the struct in memory, with its padding; the descriptors are of OpenCV's type 0, CV_8UC1.
    header = struct.pack(
        "<Q50s2xII4x5Q2iI4x",
        FBOW_SIGNATURE,
        f"silk binary256 {vocabulary.code_digest[:16]}".encode("ascii"),
        FBOW_ALIGNMENT,
        len(blocks),
        CODE_BYTES,
        block.itemsize,
        *offsets,
        blocks.nbytes,
        0,
        CODE_BYTES,
        vocabulary.branching,
    )
    return header + blocks.tobytes()
