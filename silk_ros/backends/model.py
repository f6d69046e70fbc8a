"""Exported ONNX files: each is read once, checked, and described by its metadata."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from .base import unusable
from .onnx_check import check_content, read_metadata
from .rules import SelectionRules

OUTPUTS = ("keypoints", "scores", "descriptors")
REQUIRED_METADATA = ("architecture", "border", "descriptor_dim")
MAX_MODEL_BYTES = 128 << 20  # five times the paper's largest network

# What a quantised network must keep of the float network, on pairs of real images (see `silk_ros.commands.quantize`).
MIN_OVERLAP = 0.90  # share of the best keypoints that are the same
MAX_PRECISION_LOSS = 0.01  # decrease of the share of correct matches

# Training steps below which a network finds less than half of the matches that a trained one finds (docs/training.md).
FEW_STEPS = 1000


@dataclass(frozen=True)
class ModelInfo:
    """The network of an exported file, as its metadata describe it.

    border:         pixels lost on each side; 2 * border + 1 is the receptive field.
    descriptor_dim: length of a descriptor.
    precision:      "int8" for a quantised file, else "fp32".
    """

    border: int
    descriptor_dim: int
    precision: str


@dataclass(frozen=True, eq=False)
class ModelFile:
    """An exported ONNX file as it was when it was read.

    content:  the file's bytes, checked, with the selection rules in the graph; runtimes get these and never the path.
    digest:   SHA-256 of the file's bytes, in hexadecimal.
    metadata: the file's metadata_props.
    """

    path: Path
    content: bytes = field(repr=False)
    digest: str
    metadata: Mapping[str, str]

    @property
    def precision(self) -> str:
        """ "int8" for a quantised file, else "fp32"."""
        return self.metadata.get("precision", "fp32")

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """Read and check a file.

        Raises OSError, or ValueError, naming the fix, unless it is a regular file of at most MAX_MODEL_BYTES that holds
        a whole ONNX model (see `onnx_check`).
        """
        content = _read_regular(path)
        try:
            check_content(content)
            metadata = read_metadata(content)
        except ValueError as error:
            raise unusable(path, error) from error
        return cls(path, content, hashlib.sha256(content).hexdigest(), metadata)


class Model:
    """A float file and the int8 version beside it. Each is read when it is first needed, and never again."""

    def __init__(self, path: Path, rules: SelectionRules | None = None) -> None:
        """rules: put into the graphs; without, they take the best positions wherever they are.

        Raises FileNotFoundError, naming the fix, if there is no such file.
        """
        if not path.is_file():
            raise FileNotFoundError(f"no model file at '{path}': check model_path, or export one with training.export")
        self.path = path
        self.rules = rules or SelectionRules()

    def file(self, precision: str) -> ModelFile:
        """The file to run: the int8 version for "int8" if there is one, else the file that the model was opened with.

        Raises what `ModelFile.read` raises; and, with selection rules, BackendUnavailable, naming the package, without
        onnx, and ValueError for a graph that training.export did not write.
        """
        return self._quantised if precision == "int8" else self._float

    @cached_property
    def _float(self) -> ModelFile:
        return self._read(self.path)

    @cached_property
    def _quantised(self) -> ModelFile:
        sibling = int8_path(self.path)
        return self._float if self._float.precision == "int8" or not sibling.is_file() else self._read(sibling)

    def _read(self, path: Path) -> ModelFile:
        file = ModelFile.read(path)
        if not self.rules:
            return file
        from .selection_graph import with_rules  # imports onnx, which takes 0.2 s and 40 MB

        return replace(file, content=with_rules(file, self.rules))

    def info(self, file: ModelFile, wanted: str, interface_fits: bool) -> ModelInfo:
        """The network of one of this model's files, checked.

        wanted:         the precision that was asked for, or "auto".
        interface_fits: whether the runtime found the inputs and outputs of a SiLK network.

        Raises ValueError, naming the fix, for another network, for a quantised file that lost too much or was made from
        another float file, and for a file that does not suit the precision.
        """
        metadata = file.metadata
        if not interface_fits or not set(REQUIRED_METADATA) <= set(metadata):
            raise ValueError(
                f"'{file.path}' is an ONNX file, but not of a SiLK network: export one with training.export"
            )
        try:
            border, descriptor_dim = int(metadata["border"]), int(metadata["descriptor_dim"])
        except ValueError as error:
            raise ValueError(f"'{file.path}' has damaged metadata ({error}): export it again") from error
        if file.precision == "int8":
            check_gate(file.path, metadata)
            if file.path != self.path and metadata.get("float_sha256") != self._float.digest:
                raise ValueError(f"'{file.path}' was not made from '{self.path}' as it is now: quantize that again")
            if wanted not in ("auto", "int8"):
                raise ValueError(
                    f"'{file.path}' is quantised, not {wanted}: use precision auto or int8, or give the float file"
                )
        elif wanted == "int8":
            raise ValueError(
                f"'{file.path}' is not quantised, and there is no int8 version at '{int8_path(file.path)}': make one "
                "with the quantize command, or use precision auto"
            )
        return ModelInfo(border, descriptor_dim, file.precision)


def int8_path(model: Path) -> Path:
    """The path of the int8 version of a float file."""
    return model.with_name(f"{model.stem}_int8.onnx")


def few_steps(metadata: Mapping[str, str]) -> str:
    """What to call a network that was trained for too few steps to match well: "trained for 10 steps"; else "".

    metadata: of its file; one that does not say, or says 0, was not written by a training.
    """
    text = metadata.get("training_steps", "")
    steps = int(text) if text.isdecimal() else 0
    return f"trained for {steps} step{'s' * (steps != 1)}" if 0 < steps < FEW_STEPS else ""


def check_gate(path: Path, metadata: Mapping[str, str]) -> None:
    """Raise ValueError, with the figures, for a quantised file that lost too much or lacks the figures."""
    names = ("topk_overlap", "match_precision", "float_match_precision")
    try:
        overlap, kept, before = (float(metadata[name]) for name in names)
    except (KeyError, ValueError) as error:
        raise ValueError(f"'{path}' does not say what its quantisation lost ({error}): quantize it again") from error
    if not (overlap >= MIN_OVERLAP and round(before - kept, 6) <= MAX_PRECISION_LOSS):
        raise ValueError(
            f"'{path}' lost too much by quantisation: {overlap:.3f} of the best keypoints are those of the float "
            f"network (at least {MIN_OVERLAP}), and {kept:.3f} of the matches are right instead of {before:.3f} "
            f"(at most {MAX_PRECISION_LOSS} less): use another precision, or quantize with other images"
        )


def sha256(path: Path) -> str:
    """SHA-256 of a regular file's content, in hexadecimal."""
    return hashlib.sha256(_read_regular(path)).hexdigest()


def _read_regular(path: Path) -> bytes:
    """The content of a regular file. Raises ValueError, without blocking, for a pipe or device, and for a huge file."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"'{path}' is not a regular file: give the path of an ONNX file")
        content = file.read(MAX_MODEL_BYTES + 1)
    if len(content) > MAX_MODEL_BYTES:
        raise ValueError(f"'{path}' is larger than {MAX_MODEL_BYTES >> 20} MB: no SiLK network is, give another file")
    return content
