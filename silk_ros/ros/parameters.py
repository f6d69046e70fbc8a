"""The parameters of silk_node: each is declared here, once, with its description and range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from ..backends import BACKENDS, PRECISIONS, EngineOptions
from ..backends.base import MAX_OPTIMIZATION_LEVEL, NO_DLA
from ..binary import FORMATS
from ..extractor import MAX_THREADS
from ..frontend import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from ..selection import Selection
from ..verification import METHODS, OUTLIERS, Verification
from .tracks import NO_CAMERA_ID, TrackRules

ALL_PRECISIONS = tuple(dict.fromkeys(precision for backend in BACKENDS for precision in PRECISIONS[backend]))


@dataclass(frozen=True)
class Declaration:
    """A parameter, its default, what it means, and what it may be: a range or a choice of texts."""

    name: str
    default: bool | int | float | str
    description: str
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()


DECLARATIONS = (
    Declaration("model_path", "", "ONNX file of the network; empty for the shipped VGGnp-mu"),
    Declaration(
        "backend",
        "auto",
        "engine that runs the network; auto takes the best one installed",
        choices=("auto", *BACKENDS),
    ),
    Declaration(
        "precision",
        "auto",
        f"what the backend computes in: auto, {', '.join(ALL_PRECISIONS)}; auto takes 16 bits where there are",
        choices=("auto", *ALL_PRECISIONS),
    ),
    Declaration("max_keypoints", CAMERA_MAX_KEYPOINTS, "keypoints extracted per image, at most", (1, 30000)),
    Declaration(
        "max_published",
        0,
        "keypoints published per image, at most: those that are matched first, then the best; 0 for all",
        (0, 30000),
    ),
    Declaration(
        "descriptor_format",
        FORMATS[0],
        "of the feature cloud: float32, float16 (its bits as UINT16), binary256 (32 bytes, Hamming distance)",
        choices=FORMATS,
    ),
    Declaration(
        "scale",
        CAMERA_SCALE,
        "the network sees the image resized by this factor; keypoints stay in pixels of the received image",
        (0.1, 4.0),
    ),
    Declaration(
        "matcher.ratio",
        1.0,
        "keep a match if its cosine distance is at most this share of the second best's; 1 keeps all",
        (0.0, 1.0),
    ),
    Declaration(
        "matcher.min_similarity",
        -1.0,
        "keep a match if the cosine of its descriptors is at least this; -1 keeps all",
        (-1.0, 1.0),
    ),
    Declaration(
        "matcher.double_softmax",
        0.0,
        "match by round-trip probability p and keep a match if 1 - p is at most this; 0 matches by cosine",
        (0.0, 1.0),
    ),
    Declaration(
        "matcher.radius",
        0.0,
        "match only keypoints within this many pixels of where the last motion would take them; 0 looks everywhere",
        (0.0, 10000.0),
    ),
    Declaration(
        "selection.nms_radius",
        0.0,
        "drop keypoints that have a better one within this many pixels; 0 keeps all",
        (0.0, 100.0),
    ),
    Declaration(
        "selection.cell_size",
        0.0,
        "side in pixels of the cells that keep at most selection.max_per_cell keypoints each; 0 for no cells",
        (0.0, 10000.0),
    ),
    Declaration("selection.max_per_cell", 0, "keypoints that a cell keeps, at most; 0 for no cells", (0, 30000)),
    Declaration(
        "verification.method",
        Verification.method,
        "geometry that matches are verified by: none, fundamental, essential (takes camera_info)",
        choices=METHODS,
    ),
    Declaration(
        "verification.threshold",
        Verification.threshold,
        "pixels from the epipolar line up to which a match agrees",
        (0.1, 100.0),
    ),
    Declaration(
        "verification.outliers",
        Verification.outliers,
        "drop matches that do not agree, or flag them in a field inlier of the match cloud",
        choices=OUTLIERS,
    ),
    Declaration("tracks.bridge", False, "take up tracks again that one image did not see"),
    Declaration(
        "tracks.min_age",
        TrackRules.min_age,
        "images that a track was seen in before it is on ~/tracks, at least",
        (1, 1000),
    ),
    Declaration(
        "tracks.max_count", TrackRules.max_count, "tracks on ~/tracks, at most, the oldest; 0 for all", (0, 30000)
    ),
    Declaration(
        "tracks.camera_id",
        TrackRules.camera_id,
        "channel camera_id on ~/tracks, as VINS-Fusion wants it; -1 for none, as VINS-Mono does",
        (NO_CAMERA_ID, 15),
    ),
    Declaration(
        "tensorrt.optimization_level",
        EngineOptions.optimization_level,
        "how long TensorRT looks for fast kernels when it builds an engine",
        (0, MAX_OPTIMIZATION_LEVEL),
    ),
    Declaration(
        "tensorrt.workspace_mb",
        EngineOptions.workspace_mb,
        "megabytes that a layer of TensorRT may use besides its tensors, at most; 0 leaves it to TensorRT",
        (0, 1000000),
    ),
    Declaration(
        "tensorrt.dla_core",
        EngineOptions.dla_core,
        "deep-learning accelerator of a Jetson that TensorRT uses; -1 for the GPU",
        (NO_DLA, 15),
    ),
    Declaration("threads", 0, "processor threads that the network runs on; 0 for one on each core", (0, MAX_THREADS)),
    Declaration(
        "image_reliability",
        "best_effort",
        "QoS of the image subscription; reliable needs a reliable publisher",
        choices=("best_effort", "reliable"),
    ),
    Declaration("diagnostics_period", 1.0, "seconds between two messages on /diagnostics", (0.1, 60.0)),
    Declaration(
        "no_data_timeout",
        5.0,
        "seconds without an image until the node warns, naming the publishers and their QoS",
        (0.5, 600.0),
    ),
)


@dataclass(frozen=True)
class Settings:
    """The values of the parameters, in the types that the front-end takes."""

    model_path: Path | None
    backend: str
    precision: str
    max_keypoints: int
    scale: float
    ratio: float | None
    min_similarity: float | None
    double_softmax: float | None
    radius: float | None
    max_published: int
    descriptor_format: str
    selection: Selection
    verification: Verification
    bridge: bool
    tracks: TrackRules
    engine: EngineOptions
    threads: int
    image_reliability: str
    diagnostics_period: float
    no_data_timeout: float


def declare_parameters(node: Node) -> Settings:
    """Declare all parameters of silk_node. Raises as `declare` does."""
    values = declare(node, DECLARATIONS)
    values["bridge"] = values.pop("tracks.bridge")
    for group, name, make in (
        ("selection.", "selection", Selection),
        ("verification.", "verification", Verification),
        ("tracks.", "tracks", TrackRules),
        ("tensorrt.", "engine", EngineOptions),
    ):
        members = {key.removeprefix(group): values.pop(key) for key in tuple(values) if key.startswith(group)}
        values[name] = make(**members)
    values = {name.removeprefix("matcher."): value for name, value in values.items()}
    values["model_path"] = Path(values["model_path"]).expanduser() if values["model_path"] else None
    # The ends of the ranges, which keep every match, switch the filters off.
    for name, off in (("ratio", 1.0), ("min_similarity", -1.0), ("double_softmax", 0.0), ("radius", 0.0)):
        values[name] = None if values[name] == off else values[name]
    return Settings(**values)


def declare(node: Node, declarations: Iterable[Declaration]) -> dict[str, Any]:
    """Declare parameters, read-only, and return their values by name.

    Raises rclpy's parameter exceptions for a wrong type or range, ValueError, naming the choices, for an unknown one.
    """
    values = {}
    for declaration in declarations:
        value = node.declare_parameter(declaration.name, declaration.default, _descriptor(declaration)).value
        if declaration.choices and value not in declaration.choices:
            choices = ", ".join(declaration.choices)
            raise ValueError(f"parameter {declaration.name} is '{value}': choose one of {choices}")
        values[declaration.name] = value
    return values


def _descriptor(declaration: Declaration) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=declaration.description, read_only=True)
    if declaration.choices:
        descriptor.additional_constraints = "one of " + ", ".join(declaration.choices)
    if declaration.range is not None:
        low, high = declaration.range
        if isinstance(declaration.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
