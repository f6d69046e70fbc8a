"""Write the features and matches of a whole sequence, without a running node.

    run_sequence images/ --output recording --format bag
    run_sequence path/to/kitti/00 --output recording --format bag --preset orb_slam --set max_keypoints=3000
    run_sequence drive.mcap --topic /left/image_raw --right-topic /right/image_raw --output recording --format bag
    run_sequence video.mp4 --every 5 --output reconstruction --format colmap --map

Images that cannot be read are left out, named and counted. The exit status is 1 if nothing was written.

A bag holds what silk_node publishes with the same parameters, with the stamps of the images; it needs the messages of
ROS 2. A COLMAP database is written with the images and, with --map, COLMAP's model in sparse/0; it needs pycolmap.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..command_line import command_parser
from ..extractor import Extractor
from ..images.console import console_log
from ..images.sequence import SequenceFrame, read_frames
from ..images.source import Source
from ..images.sources import open_recorded
from ..images.storage.names import is_recording
from ..parameters.configuration import Configuration
from ..parameters.help import parameter_help
from ..parameters.settings import Settings, settings_from
from .arguments import positive
from .parameter_options import OF_THE_NODE, add_parameter_options, parameter_values, used_parameters

log = logging.getLogger(__name__)

# Imported by name, since only this format needs ROS.
BAG_WRITER = "silk_ros.ros.recording.feature_bag"
COLMAP_WINDOW = 10  # number of earlier images that each image is matched with
# Parameters with which COLMAP maps well (docs/offline.md); a bag has the node's.
COLMAP_DEFAULTS = {"max_keypoints": 3000, "scale": 1.0}
# Parameters, or groups of them, that COLMAP does not use, and what they are of.
NOT_OF_COLMAP = {
    "max_published": "of messages",
    "descriptor_format": "of messages: COLMAP stores no descriptors",
    "tracks": "of messages: COLMAP makes its own tracks",
    "matcher.radius": "of consecutive images",
    "refinement": "of consecutive images: in COLMAP a keypoint has one position for all of its pairs",
    "verification": "of consecutive images: COLMAP verifies the pairs itself",
    "stereo": "of stereo pairs: COLMAP gets the left images only",
}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser("run_sequence", __doc__)
    parser.epilog = parameter_help(used_parameters(OF_THE_NODE))
    add = parser.add_argument
    add("source", help="folder of images or pattern, data set, video, recording (rosbag2, .mcap, .bag), or flight")
    add("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    add("--format", choices=("bag", "colmap"), required=True)
    add("--topic", default="", help="image topic of a recording (the first usable one by name; the log names it)")
    right = "topic of the right images of a recording, for stereo pairs with those of --topic"
    add("--right-topic", default="", metavar="TOPIC", help=right)
    add("--every", type=positive, default=1, metavar="N", help="take every N-th image (%(default)s)")
    intrinsics = "intrinsics in OpenCV's convention (those of the source, if any)"
    add("--camera", type=_intrinsics, metavar="fx,fy,cx,cy[,k1,k2,p1,p2]", help=intrinsics)
    add_parameter_options(parser)
    add = parser.add_argument_group("COLMAP").add_argument
    add("--window", type=positive, default=COLMAP_WINDOW, metavar="N", help="match with N earlier images (%(default)s)")
    add("--loop", type=positive, default=0, metavar="N", help="match every N-th with all earlier such images (none)")
    add("--map", action="store_true", help="build a model with COLMAP")
    return parser.parse_args(arguments)


def _intrinsics(text: str) -> list[float]:
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (4, 8):
        raise argparse.ArgumentTypeError(f"'{text}' is not fx,fy,cx,cy or fx,fy,cx,cy,k1,k2,p1,p2 in numbers")
    return values


def read_settings(options: argparse.Namespace) -> Settings:
    """The settings that the options give. Raises OSError or ValueError, naming the fix, for those that cannot be."""
    unused, defaults = dict(OF_THE_NODE), dict[str, Any]()
    if not is_recording(Path(options.source)):
        unused["rectified"] = "of the camera_info of a recording"
    if not options.right_topic:
        unused |= dict.fromkeys(("stereo.sync", "stereo.max_interval"), "of two topics: give --topic and --right-topic")
    if options.format == "colmap":
        unused, defaults = unused | NOT_OF_COLMAP, COLMAP_DEFAULTS
    return settings_from(parameter_values(options, defaults, unused))


def run(options: argparse.Namespace) -> None:
    """Write the bag or the database. Raises OSError, ValueError or ImportError, naming the fix."""
    settings = read_settings(options)
    if options.format == "colmap":
        from . import colmap  # says what to install

    interval = settings.input.max_interval or 0
    source = open_recorded(options.source, options.topic, settings.input.rectified, options.right_topic, interval)
    configuration = Configuration.load(settings)
    log.info("%s", configuration.extractor)
    frames = tqdm(_frames(source, configuration, options), desc="images", unit="image")
    if options.format == "bag":
        count = import_module(BAG_WRITER).write_bag(frames, configuration, options.output)
        print(f"{options.output}: features and matches of {count} images")
        return
    front_end = settings.front_end
    filters = {name: getattr(front_end, name) for name in ("ratio", "min_similarity", "double_softmax")}
    writer = colmap.DatabaseWriter(options.output, options.window, options.loop, filters)
    done = colmap.write_database(frames, configuration.extractor, writer)
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


def _frames(source: Source, configuration: Configuration, options: argparse.Namespace) -> Iterator[SequenceFrame]:
    """The frames of the source, of which the first is read at once: a bad source must not leave an output behind."""
    read = read_frames(source, options.every, options.camera, configuration.mask)
    frames = _usable(read, configuration.extractor, source.name)
    first = next(frames)
    if configuration.mask is not None and first.mask is None:
        size, (height, width) = f"{first.image.width}x{first.image.height}", configuration.mask.shape
        raise ValueError(f"the mask is {width}x{height}, but the images are {size}: make it the size of the images")
    if options.format == "colmap" and first.camera is None and first.image.camera_problem:
        raise ValueError(f"{first.image.camera_problem}; or give the intrinsics with --camera")
    if options.format == "colmap" and source.stereo:
        log.warning("COLMAP gets the left images only")
    return itertools.chain([first], frames)


def _usable(frames: Iterable[SequenceFrame], extractor: Extractor, source: str) -> Iterator[SequenceFrame]:
    """The frames that the extractor takes; the number of the others is logged at the end.

    Raises ValueError, with the reason, if it takes none.
    """
    used, left_out = False, list[str]()
    for frame in frames:
        try:
            extractor.part_of(frame.gray)
        except ValueError as error:
            left_out.append(f"image {frame.index}: {error}")
            continue
        used = True
        yield frame
    if not used:
        raise ValueError(f"no image of '{source}' can be used: {left_out[0] if left_out else 'it holds none'}")
    if left_out:
        log.warning("%d images were left out, first %s", len(left_out), left_out[0])


@console_log("silk_ros.commands")
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
