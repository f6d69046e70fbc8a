"""Write the features and matches of a whole sequence, without a running node.

    run_sequence images/ --output recording --format bag
    run_sequence path/to/kitti/00 --output recording --format bag --preset orb_slam --set max_keypoints=3000
    run_sequence drive.mcap --topic /left/image_raw --right-topic /right/image_raw --output recording --format bag
    run_sequence video.mp4 --every 5 --output reconstruction --format colmap --map

Images that cannot be read are left out, named and counted. The exit status is 1 if nothing was written.

A bag holds what silk_node publishes with the same parameters, with the stamps of the images; it needs the messages of
ROS 2. A COLMAP database is written with the images under their own names and, with --map, COLMAP's model in
sparse/0; it needs pycolmap.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..command_line import command_parser, is_here
from ..images.console import console_log, progress_bar
from ..images.sequence import SequenceFrame
from ..images.sources import open_recorded
from ..images.storage.names import is_recording
from ..parameters.configuration import Configuration
from ..parameters.help import parameter_help
from ..parameters.settings import Settings, settings_from
from ..paths import check_new
from ..words import counted
from .arguments import positive
from .parameter_options import OF_THE_NODE, add_parameter_options, parameter_values, used_parameters
from .usable_frames import frame_count, usable_frames

log = logging.getLogger(__name__)

# Imported by name, since only this format needs ROS.
BAG_WRITER = "silk_ros.ros.recording.feature_bag"
WINDOW = 10  # number of earlier images that each image is matched with, for COLMAP
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
    add("--window", type=positive, metavar="N", help=f"match with N earlier images ({WINDOW})")
    add("--loop", type=positive, metavar="N", help="match every N-th with all earlier such images (none)")
    add("--map", action="store_true", help="build a model with COLMAP")
    options = parser.parse_args(arguments)
    if options.format == "colmap":
        options.window, options.loop = options.window or WINDOW, options.loop or 0
    return options


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
    of_colmap = [f"--{name}" for name in ("window", "loop", "map") if getattr(options, name)]
    if options.format == "bag" and of_colmap:
        raise ValueError(f"leave out {' and '.join(of_colmap)}: only --format colmap uses that")
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
    check_new(options.output)
    write = _writer(options.format)
    interval = settings.input.max_interval or 0
    source = open_recorded(options.source, options.topic, settings.input.rectified, options.right_topic, interval)
    configuration = Configuration.load(settings)
    log.info("%s", configuration.extractor)
    frames = usable_frames(source, configuration, options)
    write(frames, frame_count(source, options.every), configuration, options)


def _writer(kind: str) -> Callable[..., None]:
    """What writes a format. Raises ImportError, naming the fix, where its libraries are missing."""
    if kind == "bag":
        return partial(_write_bag, import_module(BAG_WRITER).write_bag)
    from .colmap_output import write_colmap

    return write_colmap


def _write_bag(
    write: Callable[..., int],
    frames: Iterator[SequenceFrame],
    total: int | None,
    configuration: Configuration,
    options: argparse.Namespace,
) -> None:
    with progress_bar("features and matches", "image", total) as progress:
        count = write(_with_bar(frames, progress), configuration, options.output)
    where = "" if is_here("ros2") else ", where the program ros2 is installed"
    print(f"features and matches of {counted(count, 'image')}")
    print(f"wrote {options.output}; next{where}: {shlex.join(['ros2', 'bag', 'play', str(options.output)])}")


def _with_bar(frames: Iterator[SequenceFrame], progress: tqdm) -> Iterator[SequenceFrame]:
    """The frames, each of which counts as done when the next one is asked for."""
    for frame in frames:
        yield frame
        progress.update()


@console_log("silk_ros.commands")
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parse(arguments)
    try:
        run(options)
    except (OSError, ValueError, ImportError) as error:
        print(f"run_sequence: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"run_sequence: interrupted: '{options.output}' is incomplete, if it was begun", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
