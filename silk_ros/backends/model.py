"""What every backend asks of a model file before it runs it. All of them read it with `read_model`."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .onnx_check import check_content

OUTPUTS = ("keypoints", "scores", "descriptors")
REQUIRED_METADATA = ("architecture", "border", "descriptor_dim")
MAX_MODEL_BYTES = 128 << 20  # five times the paper's largest network

# What a quantised network must keep of the float one, on pairs of real images (see `silk_ros.commands.quantize`).
MIN_OVERLAP = 0.90  # share of the best keypoints that are the same
MAX_PRECISION_LOSS = 0.01  # of the share of matches that are right


@dataclass(frozen=True)
class ModelInfo:
    """What the metadata of an exported file say of its network.

    border:         pixels lost on each side; 2 * border + 1 is the receptive field.
    descriptor_dim: length of a descriptor.
    precision:      "int8" for a quantised file, else "fp32".
    """

    border: int
    descriptor_dim: int
    precision: str

    def checked_precision(self, wanted: str, file: Path) -> str:
        """The file's precision. Raises ValueError if it is not the one that is wanted, naming the fix."""
        if self.precision == "int8" and wanted not in ("auto", "int8"):
            raise ValueError(f"'{file}' is quantised, not {wanted}: use precision auto or int8, or give the float file")
        if wanted == "int8" and self.precision != "int8":
            raise ValueError(
                f"'{file}' is not quantised, and there is no int8 version at '{int8_path(file)}': make one with the "
                "quantize command, or use precision auto"
            )
        return self.precision


def int8_path(model: Path) -> Path:
    """Where the quantised sibling of a float file is kept."""
    return model.with_name(f"{model.stem}_int8.onnx")


def model_file(model: Path, precision: str) -> Path:
    """The file to run for a model: for "int8" its quantised sibling if there is one.

    Raises FileNotFoundError, naming the fix.
    """
    if not model.is_file():
        raise FileNotFoundError(f"no model file at '{model}': check model_path, or export one with training.export")
    return int8_path(model) if precision == "int8" and int8_path(model).is_file() else model


def read_model(file: Path) -> bytes:
    """The content of a model file, checked: what a runtime may be given, in the place of the path.

    Raises OSError, or ValueError for what is no regular file of at most MAX_MODEL_BYTES, no ONNX, or not all in that
    one file (see `onnx_check`).
    """
    content = read_regular(file)
    try:
        check_content(content)
    except ValueError as error:
        raise unusable(file, error) from error
    return content


def read_regular(path: Path) -> bytes:
    """The content of a regular file. Raises ValueError, without waiting, for a pipe or device, and for a huge file."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"'{path}' is not a regular file: give the path of an ONNX file")
        content = file.read(MAX_MODEL_BYTES + 1)
    if len(content) > MAX_MODEL_BYTES:
        raise ValueError(f"'{path}' is larger than {MAX_MODEL_BYTES >> 20} MB: no SiLK network is, give another file")
    return content


def unusable(file: Path, error: Exception) -> ValueError:
    """The error for a file that a runtime cannot read. Runtimes raise types of their own, one per kind of damage."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    reason = lines[0].strip() if lines else type(error).__name__
    return ValueError(f"'{file}' is not a usable ONNX file ({reason}): export it again")


def read_info(file: Path, model: Path, interface_fits: bool, metadata: Mapping[str, str]) -> ModelInfo:
    """The information in a file's metadata. interface_fits: whether its inputs and outputs are those of a network.

    model: what the file was chosen for; a quantised sibling must be of just that float file.
    Raises ValueError for the file of another network, and for a quantised one that lost too much.
    """
    if not interface_fits or not set(REQUIRED_METADATA) <= set(metadata):
        raise ValueError(f"'{file}' is an ONNX file, but not of a SiLK network: export one with training.export")
    try:
        border, descriptor_dim = int(metadata["border"]), int(metadata["descriptor_dim"])
    except ValueError as error:
        raise ValueError(f"'{file}' has damaged metadata ({error}): export it again") from error
    precision = metadata.get("precision", "fp32")
    if precision == "int8":
        check_gate(file, metadata)
        if file != model and metadata.get("float_sha256") != sha256(model):
            raise ValueError(f"'{file}' was not made from '{model}' as it is now: quantize that again")
    return ModelInfo(border, descriptor_dim, precision)


def check_gate(file: Path, metadata: Mapping[str, str]) -> None:
    """Raise ValueError, with the figures, for a quantised file that lost too much, or does not say what it lost."""
    names = ("topk_overlap", "match_precision", "float_match_precision")
    try:
        overlap, kept, before = (float(metadata[name]) for name in names)
    except (KeyError, ValueError) as error:
        raise ValueError(f"'{file}' does not say what its quantisation lost ({error}): quantize it again") from error
    if not (overlap >= MIN_OVERLAP and round(before - kept, 6) <= MAX_PRECISION_LOSS):
        raise ValueError(
            f"'{file}' lost too much by quantisation: {overlap:.3f} of the best keypoints are those of the float "
            f"network (at least {MIN_OVERLAP}), and {kept:.3f} of the matches are right instead of {before:.3f} "
            f"(at most {MAX_PRECISION_LOSS} less): use another precision, or quantize with other images"
        )


def sha256(path: Path) -> str:
    """The digest of a file's content."""
    return hashlib.sha256(read_regular(path)).hexdigest()
