"""The options of the demo: parsed, and checked before anything is started or written."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...command_line import command_parser
from ...geometry.camera import Camera
from ...images.calibration_file import read_calibration
from ...images.sequence import pinhole_camera
from ...images.sources import is_camera, open_source
from ...parameters.declarations import Declaration
from ...parameters.given import declaration_of, value_of_text
from .. import image_player, odometry_node
from ..view import VIEWERS

EXAMPLES = """The whole front-end on one machine: player, front-end and odometry as processes over DDS. Each image is
played once, when the one before is answered, so that the figures do not depend on the load.

  make demo                                     a synthetic flight with known poses
  make demo SEQUENCE=my_images                  a folder of images or stereo pairs, a video or a recording
  make demo SEQUENCE=my_images OPTIONS="--camera 525,525,320,240"         with the calibration, for odometry
  make demo MODEL=my_model.onnx                 with a network of your own
  make demo VIEW=1                              seen live: image, tracks, landmarks, paths (docs/view.md)
  make demo OPTIONS="--live --seconds 30"       at the camera's rate; what is too much is dropped
"""
FRONT_END = ("max_keypoints", "precision", "scale")  # parameters of silk_node that are options
MAX_IMAGES, SECONDS = 200, 20.0
TIMEOUT = 30.0  # seconds


class DemoOptions(argparse.Namespace):
    """Arguments of the demo, which its `--help` describes; `check_source` finds out the last three."""

    source: str
    topic: str
    model: str
    camera: str
    max_keypoints: int | None
    precision: str | None
    scale: float | None
    max_images: int | None
    live: bool
    seconds: float | None
    timeout: float
    output: Path
    domain: int | None
    view: str | None
    rate: float
    disparity_offset: float
    stereo: bool  # whether the source has stereo pairs
    calibration: Camera | None  # of `camera`

    def front_end(self) -> dict[str, Any]:
        """The parameters of silk_node that were given, by name."""
        return {name: value for name in FRONT_END if (value := getattr(self, name)) is not None}


def parse(arguments: list[str] | None) -> DemoOptions:
    """The options of a command line. Ends the process with a message for values that cannot be."""
    parser = command_parser("python -m silk_ros.ros.demo", EXAMPLES)
    add = parser.add_argument
    source = "flight, a camera index, a folder of images, a data set, a video, or a recording (%(default)s)"
    add("--sequence", dest="source", default="flight", help=source)
    add("--topic", default="", help="image topic of a recording (the first usable one by name)")
    add("--camera", default="", metavar="fx,fy,cx,cy[,k1,k2,p1,p2]", help="calibration in pixels, or a YAML file")
    add("--model", default="", help="ONNX file of the network (the shipped one)")
    for name in FRONT_END:
        declared = declaration_of(name)
        option = f"--{name.replace('_', '-')}"
        add(option, type=_parameter(name), metavar="VALUE", help=f"{declared.limits} ({declared.default})")
    add("--max-images", type=_whole(2), help=f"images to play, at most ({MAX_IMAGES}); not with --live")
    add("--live", action="store_true", help="play at the camera's rate, over and over; images may be dropped")
    add("--seconds", type=_positive, help=f"time to run with --live, from the first matches ({SECONDS:g})")
    rate = _declared(image_player.DECLARATIONS, "rate")
    add("--rate", type=rate, default=0.0, help="images per second (the source's own)")
    offset = "pixels to add to disparities of a badly rectified pair (docs/odometry.md)"
    shift = _declared(odometry_node.DECLARATIONS, "disparity_offset")
    add("--disparity-offset", type=shift, default=0.0, help=offset)
    add(
        "--timeout",
        type=_parameter("no_data_timeout"),
        default=TIMEOUT,
        help="seconds that an answer may take (%(default)g)",
    )
    add("--output", type=Path, default=Path("demo_output"), help="folder for the results (%(default)s)")
    view = "also show it live: in a window, on a page for a browser, or in demo.rrd of the output (docs/view.md)"
    add("--view", choices=VIEWERS, help=view)
    add("--domain", type=_whole(0, 232), help="ROS_DOMAIN_ID to run on (a random one)")
    options = parser.parse_args(arguments, DemoOptions())
    options.live = options.live or is_camera(options.source)
    if options.seconds is not None and not options.live:
        parser.error("--seconds goes with --live: without it each image is played once; --max-images limits them")
    if options.max_images is not None and options.live:
        parser.error("--max-images does not go with --live or a camera: --seconds limits the time")
    options.seconds, options.max_images = options.seconds or SECONDS, options.max_images or MAX_IMAGES
    return options


def check_source(options: DemoOptions) -> None:
    """Find out what the source is, and read the calibration.

    Raises OSError, ValueError or ImportError, naming the fix, where something cannot be used.
    """
    if options.model and not Path(options.model).expanduser().is_file():
        raise ValueError(f"no model '{options.model}': --model takes an ONNX file")
    source = open_source(options.source, options.topic)
    options.stereo, options.calibration = source.stereo, None
    if not options.camera:
        return
    if source.stereo:
        fix = "name one folder of images, or put a calib.txt with the rows P0 and P1 beside them"
        raise ValueError(f"--camera is of one camera, but '{options.source}' has stereo pairs: {fix}")
    numbers, image = _numbers(options.camera), next(iter(source))
    if numbers is None:
        options.calibration = read_calibration(Path(options.camera).expanduser())
    else:
        options.calibration = pinhole_camera(numbers, image)
    options.calibration.check_size((image.height, image.width))


def _numbers(text: str) -> list[float] | None:
    """The numbers of `--camera`; None for the name of a file. Raises ValueError, naming the fix, for wrong ones."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        if Path(text).expanduser().is_file():
            return None
        raise ValueError(f"--camera '{text}' is neither fx,fy,cx,cy[,k1,k2,p1,p2] nor a YAML file") from None
    if len(numbers) not in (4, 8) or not all(map(math.isfinite, numbers)) or min(numbers[:2]) <= 0:
        raise ValueError(f"--camera '{text}' is not fx,fy,cx,cy[,k1,k2,p1,p2]: 4 or 8 numbers, fx and fy above 0")
    return numbers


def _parameter(name: str) -> Callable[[str], Any]:
    return _checked(lambda text: value_of_text(name, text))


def _declared(declarations: tuple[Declaration, ...], name: str) -> Callable[[str], float]:
    """The type of an option with the range of a parameter of another node."""
    [declaration] = [each for each in declarations if each.name == name]

    def read(text: str) -> float:
        value = _float(text)
        declaration.check(value)
        return value

    return _checked(read)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None


def _positive(text: str) -> float:
    value = _checked(_float)(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _whole(low: int, high: int = 10**9) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {low} to {high}")
        return int(text)

    return read


def _checked(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """The type of an option, whose errors argparse shows."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked
