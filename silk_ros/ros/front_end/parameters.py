"""The parameters of silk_node: each is declared here, once, with its description, its range and when it may change."""

from __future__ import annotations

from functools import partial

from ...backends import BACKENDS, PRECISIONS, EngineOptions
from ...backends.base import MAX_OPTIMIZATION_LEVEL, NO_DLA
from ...extractor import MAX_THREADS
from ...frontend import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from ...stereo import StereoRules
from ...verification import METHODS, OUTLIERS, Verification
from ..descriptor_formats import FORMATS
from ..node.declarations import ANYTIME, INACTIVE, Declaration
from .tracks import NO_CAMERA_ID, TrackRules

ALL_PRECISIONS = tuple(dict.fromkeys(precision for backend in BACKENDS for precision in PRECISIONS[backend]))
SIDE = (0, 100000)  # pixels
SYNCS = ("none", "exact", "approximate")

_live = partial(Declaration, change=ANYTIME)
_inactive = partial(Declaration, change=INACTIVE)

DECLARATIONS = (
    Declaration("autostart", True, "configure and activate the node at start; false leaves that to a manager"),
    _live(
        "model_path",
        "",
        "ONNX file of the network; empty for the shipped VGGnp-mu; at run time one in model_dirs",
    ),
    Declaration("model_dirs", [""], "folders of models that model_path may name at run time, besides the shipped ones"),
    _live(
        "backend",
        "auto",
        "engine that runs the network; auto takes the best one installed",
        choices=("auto", *BACKENDS),
    ),
    _live(
        "precision",
        "auto",
        f"what the backend computes in: auto, {', '.join(ALL_PRECISIONS)}; auto takes what suits the machine",
        choices=("auto", *ALL_PRECISIONS),
    ),
    _live("max_keypoints", CAMERA_MAX_KEYPOINTS, "keypoints extracted per image, at most", (1, 30000)),
    _live(
        "max_published",
        0,
        "keypoints published per image, at most: those that are matched first, then the best; 0 for all",
        (0, 30000),
    ),
    _live(
        "descriptor_format",
        FORMATS[0],
        "of the feature cloud: float32, float16 (its bits as UINT16), binary256 (32 bytes, Hamming distance)",
        choices=FORMATS,
    ),
    _live(
        "scale",
        CAMERA_SCALE,
        "the network sees the image resized by this factor; keypoints stay in pixels of the received image",
        (0.1, 4.0),
    ),
    _live(
        "matcher.ratio",
        1.0,
        "keep a match if its cosine distance is at most this share of the second best's; 1 keeps all",
        (0.0, 1.0),
    ),
    _live(
        "matcher.min_similarity",
        -1.0,
        "keep a match if the cosine of its descriptors is at least this; -1 keeps all",
        (-1.0, 1.0),
    ),
    _live(
        "matcher.double_softmax",
        0.0,
        "match by round-trip probability p and keep a match if 1 - p is at most this; 0 matches by cosine",
        (0.0, 1.0),
    ),
    _live(
        "matcher.radius",
        0.0,
        "match only keypoints within this many pixels of where the last motion would take them; 0 looks everywhere",
        (0.0, 10000.0),
    ),
    _live(
        "selection.nms_radius",
        0.0,
        "drop keypoints that have a better one within this many pixels; 0 keeps all",
        (0.0, 100.0),
    ),
    _live(
        "selection.cell_size",
        0.0,
        "side in pixels of the cells that keep at most selection.max_per_cell keypoints each; 0 for no cells",
        (0.0, 10000.0),
    ),
    _live("selection.max_per_cell", 0, "keypoints that a cell keeps, at most; 0 for no cells", (0, 30000)),
    _live(
        "verification.method",
        Verification.method,
        "geometry that matches are verified by: none, fundamental, essential (takes camera_info)",
        choices=METHODS,
    ),
    _live(
        "verification.threshold",
        Verification.threshold,
        "pixels from the epipolar line up to which a match agrees",
        (0.1, 100.0),
    ),
    _live(
        "verification.outliers",
        Verification.outliers,
        "drop matches that do not agree, or flag them in a field inlier of the match cloud",
        choices=OUTLIERS,
    ),
    _live("tracks.bridge", False, "take up tracks again that one image did not see"),
    _live(
        "tracks.min_age",
        TrackRules.min_age,
        "images that a track was seen in before it is on ~/tracks, at least",
        (1, 1000),
    ),
    _live("tracks.max_count", TrackRules.max_count, "tracks on ~/tracks, at most, the oldest; 0 for all", (0, 30000)),
    _live(
        "tracks.camera_id",
        TrackRules.camera_id,
        "channel camera_id on ~/tracks, as VINS-Fusion wants it; -1 for none, as VINS-Mono does",
        (NO_CAMERA_ID, 15),
    ),
    _inactive(
        "stereo.sync",
        "none",
        "none for one camera; exact or approximate stamps for a stereo pair on left/ and right/",
        choices=SYNCS,
    ),
    _inactive(
        "stereo.max_interval",
        0.01,
        "seconds between the stamps of an approximate pair, at most; keep it below half the time between two images",
        (0.0, 1.0),
    ),
    _live(
        "stereo.row_tolerance",
        StereoRules.row_tolerance,
        "pixels between the rows of a stereo match in the rectified images, at most",
        (0.0, 100.0),
    ),
    _live(
        "stereo.min_disparity",
        StereoRules.min_disparity,
        "pixels between the columns of a stereo match, at least; the less, the farther and the less certain",
        (0.0, 10000.0),
    ),
    _live(
        "stereo.max_disparity",
        StereoRules.max_disparity,
        "pixels between the columns of a stereo match, at most; 0 for the image's width",
        (0.0, 10000.0),
    ),
    _live(
        "tensorrt.optimization_level",
        EngineOptions.optimization_level,
        "how long TensorRT looks for fast kernels when it builds an engine",
        (0, MAX_OPTIMIZATION_LEVEL),
    ),
    _live(
        "tensorrt.workspace_mb",
        EngineOptions.workspace_mb,
        "megabytes that a layer of TensorRT may use besides its tensors, at most; 0 leaves it to TensorRT",
        (0, 1000000),
    ),
    _live(
        "tensorrt.dla_core",
        EngineOptions.dla_core,
        "deep-learning accelerator of a Jetson that TensorRT uses; -1 for the GPU",
        (NO_DLA, 15),
    ),
    _live("roi.x", 0, "left edge in pixels of the region of interest, the part of the image that is looked at", SIDE),
    _live("roi.y", 0, "its upper edge", SIDE),
    _live("roi.width", 0, "its width; 0 reaches to the image's end", SIDE),
    _live("roi.height", 0, "its height; 0 reaches to the image's end", SIDE),
    Declaration(
        "mask_file", "", "grey picture of the image's size: keypoints where it is black are left out; empty for none"
    ),
    _live("threads", 0, "processor threads that the network runs on; 0 for one on each core", (0, MAX_THREADS)),
    _inactive(
        "image_transport",
        "raw",
        "raw images on image_raw, or compressed ones on image_raw/compressed",
        choices=("raw", "compressed"),
    ),
    Declaration(
        "image_reliability",
        "best_effort",
        "QoS of the image subscription; reliable needs a reliable publisher",
        choices=("best_effort", "reliable"),
    ),
    _live("diagnostics_period", 1.0, "seconds between two messages on /diagnostics", (0.1, 60.0)),
    _live(
        "no_data_timeout",
        5.0,
        "seconds without an image until the node warns, naming the publishers and their QoS",
        (0.5, 600.0),
    ),
)
