"""Declarations of the parameters of silk_node and `run_sequence`, from which `write_yaml` writes `config/silk.yaml`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..backends import AUTO, BACKENDS, PRECISIONS, EngineOptions
from ..backends.base import MAX_OPTIMIZATION_LEVEL, NO_DLA
from ..backends.rules import MAX_PER_CELL
from ..descriptor_formats import FORMATS
from ..extractor import MAX_THREADS
from ..front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE, FrontEndOptions
from ..prediction import check_radius
from ..refinement import METHODS as REFINEMENTS
from ..stereo import StereoRules
from ..tracker import NO_CAMERA_ID, TrackRules
from ..verification import METHODS, OUTLIERS, Verification
from .declarations import ANYTIME, INACTIVE, RECTIFIED_DECLARATION, Declaration

ALL_PRECISIONS = tuple(dict.fromkeys(precision for backend in BACKENDS for precision in PRECISIONS[backend]))
SIDE = (0, 100000)  # pixels

_live = partial(Declaration, change=ANYTIME)
_inactive = partial(Declaration, change=INACTIVE)

DECLARATIONS = (
    Declaration("autostart", True).described("Configure and activate the node at start, without a lifecycle manager."),
    _live("model_path", "").described(
        "ONNX file of the network; empty: the shipped VGGnp-mu. A new one has to be in one of model_dirs; it is loaded "
        "and tried while the old one goes on. A file that was overwritten is not loaded again under the same name."
    ),
    Declaration("model_dirs", [""]).described("Folders of further models that model_path may name at run time."),
    _live("backend", "auto", choices=("auto", *BACKENDS)).described(
        f"Engine that runs the network; auto: the first of {', '.join(AUTO)} that this machine has."
    ),
    _live("precision", "auto", choices=("auto", *ALL_PRECISIONS)).described(
        "Number type of the backend: fp16 in tensorrt, bf16 in openvino; auto: 16 bits where the machine computes in "
        "them, otherwise int8 if that is faster. The log says which, /diagnostics also why."
    ),
    _live("max_keypoints", CAMERA_MAX_KEYPOINTS, (1, 30000)).described("Keypoints extracted per image, at most."),
    _live("max_published", 0, (0, 30000)).described(
        "Keypoints published per image, at most: those that are matched first, then the best; 0: all. Matching uses "
        "all extracted keypoints."
    ),
    _live("descriptor_format", FORMATS[0], choices=FORMATS).described(
        "Descriptors of the feature cloud: float32, float16 (its bits as UINT16), or binary256 (32 bytes for the "
        "Hamming distance; needs a model with a binary code, as the shipped ones have)."
    ),
    _live("scale", CAMERA_SCALE, (0.1, 4.0)).described(
        "Factor by which images are resized for the network; keypoints stay in pixels of the received image. 0.5 takes "
        "a quarter of the time of 1."
    ),
    _live("matcher.ratio", 1.0, (0.0, 1.0), off=1.0).described(
        "Keep a match if its cosine distance is at most this share of the second best's."
    ),
    _live("matcher.min_similarity", -1.0, (-1.0, 1.0), off=-1.0).described(
        "Keep a match if the cosine of its descriptors is at least this."
    ),
    _live("matcher.double_softmax", 0.0, (0.0, 1.0), off=0.0).described(
        "Match by round-trip probability p (paper, Sec. 3.3) instead of cosine, and keep a match if 1 - p is at most "
        "this. An alternative to matcher.ratio."
    ),
    _live("matcher.radius", FrontEndOptions.radius, (0.0, 1.0), explain=check_radius).described(
        "Share of the image's width, around the place that the last motion predicts, within which keypoints are "
        "matched; 0: always in the whole image, as where the camera moves otherwise. With matcher.double_softmax or "
        "matching in TensorRT, matches farther away are dropped. Above a tenth it is slower than 0."
    ),
    _live("selection.border", 0.0, (0.0, 10000.0)).described(
        "Pixels along each side of the image, or of the region of interest, that the network keeps free of keypoints. "
        "refinement moves some by up to 1.5 / scale pixels, also into the border or out of the region."
    ),
    _live("selection.nms_radius", 0.0, (0.0, 100.0)).described(
        "Of keypoints that are at most this many pixels apart in x and y, keep one; 0: keep all. At scale 0.5 "
        "keypoints are two pixels apart, so a smaller radius drops nothing."
    ),
    _live("selection.cell_size", 0.0, (0.0, 10000.0)).described(
        "Side in pixels of the cells whose best keypoints are preferred; 0: no cells. Goes with selection.max_per_cell."
    ),
    _live("selection.max_per_cell", 0, (0, MAX_PER_CELL)).described(
        "Keypoints of each cell that are preferred, at most; the rest is filled up by score. 0: no cells."
    ),
    _live("refinement", FrontEndOptions.refinement, choices=REFINEMENTS).described(
        "subpixel: positions of matched keypoints are refined by comparing the images around them, between frames and "
        "between left and right; matches whose images differ are dropped. none: they stay on the grid of the network."
    ),
    _live("verification.method", Verification.method, choices=METHODS).described(
        "Geometry that verifies matches. essential needs camera_info, and is fundamental without."
    ),
    _live("verification.threshold", Verification.threshold, (0.1, 100.0)).described(
        "Pixels from the epipolar line up to which a match agrees with the geometry."
    ),
    _live("verification.outliers", Verification.outliers, choices=OUTLIERS).described(
        "Drop matches that do not agree with the geometry, or flag them in the field inlier of the match cloud."
    ),
    _live("tracks.bridge", False).described("Continue tracks that were missing in one image."),
    _live("tracks.min_age", TrackRules.min_age, (1, 1000)).described(
        "Images in which a track must have been seen to be sent on ~/tracks."
    ),
    _live("tracks.max_count", TrackRules.max_count, (0, 30000)).described(
        "Tracks on ~/tracks, at most: those of the message before, then the oldest; 0: all."
    ),
    _live("tracks.min_distance", TrackRules.min_distance, (0.0, 1000.0)).described(
        "Pixels between two tracks on ~/tracks, at least, so that few tracks cover the image; 0: any."
    ),
    _live("tracks.camera_id", TrackRules.camera_id, (NO_CAMERA_ID, 15)).described(
        f"Value of the channel camera_id on ~/tracks, for VINS-Fusion; {NO_CAMERA_ID}: no such channel, for VINS-Mono."
    ),
    _inactive("stereo.sync", "none", choices=("none", "exact", "approximate")).described(
        "none: one camera, on image_raw. exact, approximate: a stereo pair, on left/image_raw and right/image_raw, "
        "paired by equal or by close stamps."
    ),
    _inactive("stereo.max_interval", 0.01, (0.0, 1.0)).described(
        "Seconds between the stamps of an approximate pair, at most. Keep it below half the time between two images."
    ),
    _live("stereo.row_tolerance", StereoRules.row_tolerance, (0.0, 100.0)).described(
        "Pixels between the rows of a stereo match in the rectified images, at most."
    ),
    _live("stereo.min_disparity", StereoRules.min_disparity, (0.0, 10000.0)).described(
        "Pixels between the columns of a stereo match, at least. Smaller values let in farther, less certain points."
    ),
    _live("stereo.max_disparity", StereoRules.max_disparity, (0.0, 10000.0)).described(
        "Pixels between the columns of a stereo match, at most; 0: the width of the image."
    ),
    _live("tensorrt.optimization_level", EngineOptions.optimization_level, (0, MAX_OPTIMIZATION_LEVEL)).described(
        "Effort of TensorRT to find fast kernels when it builds an engine."
    ),
    _live("tensorrt.workspace_mb", EngineOptions.workspace_mb, (0, 1000000)).described(
        "Megabytes that a layer of TensorRT may use besides its tensors, at most; 0: TensorRT decides."
    ),
    _live("tensorrt.dla_core", EngineOptions.dla_core, (NO_DLA, 15)).described(
        f"Deep-learning accelerator of a Jetson that TensorRT uses; {NO_DLA}: the GPU."
    ),
    _live("roi.x", 0, SIDE).described(
        "Left edge of the region of interest, the part of the image that is processed, in pixels. Keypoints stay in "
        "pixels of the whole image."
    ),
    _live("roi.y", 0, SIDE).described("Upper edge of the region of interest, in pixels."),
    _live("roi.width", 0, SIDE).described("Width of the region in pixels; 0: up to the right edge of the image."),
    _live("roi.height", 0, SIDE).described("Height of the region in pixels; 0: up to the lower edge of the image."),
    Declaration("mask_file", "").described(
        "Grey picture of the size of the images: keypoints where it is black are left out; empty: none. The topic mask "
        "does the same with pictures that change."
    ),
    _live("threads", 0, (0, MAX_THREADS)).described(
        "Processor threads of the network; 0: one on each core. Matching uses as many as OMP_NUM_THREADS says."
    ),
    _inactive("image_transport", "raw", choices=("raw", "compressed")).described(
        "raw: images on image_raw. compressed: images on image_raw/compressed."
    ),
    replace(RECTIFIED_DECLARATION, change=INACTIVE),
    Declaration("image_reliability", "best_effort", choices=("best_effort", "reliable")).described(
        "QoS of the image subscription; reliable needs a reliable publisher."
    ),
    _live("diagnostics_period", 1.0, (0.1, 60.0)).described("Seconds between two messages on /diagnostics."),
    _live("no_data_timeout", 5.0, (0.5, 600.0)).described(
        "Seconds without an image, since the last one or since a publisher appeared, after which the node warns, "
        "naming the publishers and their QoS."
    ),
)
KNOWN = {declaration.name: declaration for declaration in DECLARATIONS}
