"""Write the features and matches of a whole sequence, without a running node.

    run_sequence images/ --output recording --format bag
    run_sequence video.mp4 --every 5 --output reconstruction --format colmap --map
    run_sequence recording.mcap --topic /camera/image_raw --output reconstruction --format colmap --loop 10

Images that cannot be read are left out, named and counted. The exit status is 1 if nothing was written.

A bag holds the clouds that silk_node publishes, with the stamps of the images; it needs the messages of ROS 2. A COLMAP
database is written with the images and, with --map, COLMAP's model in sparse/0; it needs pycolmap.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from ..cameras import CameraFrontEnds
from ..extractor import Extractor
from ..frontend import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE, FrontEndOptions
from ..geometry.camera import RECTIFIED
from ..images.console import console_log
from ..images.sequence import SequenceFrame, read_frames
from ..images.source import Source
from ..images.sources import open_recorded
from ..matcher import check_filters
from .arguments import command_parser, positive

log = logging.getLogger(__name__)

# Imported by name, since only this format needs ROS.
BAG_WRITER = "silk_ros.ros.recording.feature_bag"
COLMAP_WINDOW = 10  # number of earlier images that each image is matched with
# Keypoints and scale by format: those of the node, and those with which COLMAP maps well (docs/offline.md).
DEFAULTS = {"bag": (CAMERA_MAX_KEYPOINTS, CAMERA_SCALE), "colmap": (3000, 1.0)}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser("run_sequence", __doc__)
    add = parser.add_argument
    add("source", help="folder of images or pattern, data set, video, recording (rosbag2, .mcap, .bag), or flight")
    add("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    add("--format", choices=("bag", "colmap"), required=True)
    add("--topic", default="", help="image topic of a recording (the first usable one by name; the log names it)")
    rectified = (
        "whether its images are rectified, so that P of camera_info holds; auto: by the topic's name (%(default)s)"
    )
    add("--rectified", choices=RECTIFIED, default=RECTIFIED[0], help=rectified)
    add("--every", type=positive, default=1, metavar="N", help="take every N-th image (%(default)s)")
    intrinsics = "intrinsics in OpenCV's convention (those of the recording, if any)"
    add("--camera", type=_intrinsics, metavar="fx,fy,cx,cy[,k1,k2,p1,p2]", help=intrinsics)
    add("--model", type=Path, help="exported ONNX file (the shipped VGGnp-mu)")
    counts, scales = (
        ", ".join(f"{kind}: {value:g}" for kind, value in zip(DEFAULTS, each)) for each in zip(*DEFAULTS.values())
    )
    add("--max-keypoints", type=positive, metavar="K", help=f"maximum per image ({counts})")
    add("--scale", type=float, help=f"factor by which images are resized for the network ({scales})")
    for name in ("ratio", "min-similarity", "double-softmax"):
        add(f"--{name}", type=float, metavar="X", help="filter of the matches (none)")
    add = parser.add_argument_group("COLMAP").add_argument
    add("--window", type=positive, default=COLMAP_WINDOW, metavar="N", help="match with N earlier images (%(default)s)")
    add("--loop", type=positive, default=0, metavar="N", help="match every N-th with all earlier such images (none)")
    add("--map", action="store_true", help="build a model with COLMAP")
    options = parser.parse_args(arguments)
    keypoints, scale = DEFAULTS[options.format]
    options.max_keypoints = options.max_keypoints or keypoints
    options.scale = scale if options.scale is None else options.scale
    return options


def _intrinsics(text: str) -> list[float]:
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (4, 8):
        raise argparse.ArgumentTypeError(f"'{text}' is not fx,fy,cx,cy or fx,fy,cx,cy,k1,k2,p1,p2 in numbers")
    return values


def run(options: argparse.Namespace) -> None:
    """Write the bag or the database. Raises OSError, ValueError or ImportError, naming the fix."""
    filters = {name: getattr(options, name) for name in ("ratio", "min_similarity", "double_softmax")}
    check_filters(**filters)
    if options.format == "colmap":
        from . import colmap  # says what to install

    source = open_recorded(options.source, options.topic, options.rectified)
    extractor = Extractor.load(options.model, options.max_keypoints, scale=options.scale)
    frames = tqdm(_frames(source, extractor, options), desc="images", unit="image")
    if options.format == "bag":
        front_ends = CameraFrontEnds(extractor, FrontEndOptions(**filters))
        count = import_module(BAG_WRITER).write_bag(frames, front_ends, options.output)
        print(f"{options.output}: features and matches of {count} images")
        return
    writer = colmap.DatabaseWriter(options.output, options.window, options.loop, filters)
    done = colmap.write_database(frames, extractor, writer)
    print(
        f"{options.output / colmap.DATABASE}: {done.images} images, {done.verified} of {done.pairs} pairs verified "
        f"with {done.inliers:.0f} matches each"
    )
    if options.map:
        folder, model = colmap.map_images(options.output)
        print(
            f"{folder}: {model.num_reg_images()} of {done.images} images registered, "
            f"{model.num_points3D()} points, mean reprojection error {model.compute_mean_reprojection_error():.2f} px, "
            f"mean track length {model.compute_mean_track_length():.1f}"
        )


def _frames(source: Source, extractor: Extractor, options: argparse.Namespace) -> Iterator[SequenceFrame]:
    """The frames of the source, of which the first is read at once: a bad source must not leave an output behind."""
    frames = _large_enough(read_frames(source, options.every, options.camera), extractor.min_size)
    first = next(frames, None)
    if first is None:
        size = f"{extractor.min_size}x{extractor.min_size}"
        raise ValueError(f"no image of '{source.name}' is large enough: the network needs {size} pixels or more")
    if options.format == "colmap" and first.camera is None and first.image.camera_problem:
        raise ValueError(f"{first.image.camera_problem}; or give the intrinsics with --camera")
    if options.format == "colmap" and source.stereo:
        log.warning("COLMAP gets the left images only")
    return itertools.chain([first], frames)


def _large_enough(frames: Iterable[SequenceFrame], least: int) -> Iterator[SequenceFrame]:
    """The frames of at least `least` pixels on both sides; the number of the others is logged at the end."""
    small = []
    for frame in frames:
        if min(frame.gray.shape) >= least:
            yield frame
        else:
            small.append(frame.index)
    if small:
        log.warning("%d images are below %d pixels and were left out, first image %d", len(small), least, small[0])


@console_log()
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parse(arguments)
    try:
        run(options)
    except (OSError, ValueError, ImportError) as error:
        print(f"run_sequence: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
