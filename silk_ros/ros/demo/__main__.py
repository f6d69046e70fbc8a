"""The whole front-end on one machine: player, front-end and odometry as processes over DDS, measured from outside.

make demo                        # a synthetic flight with known poses
make demo SEQUENCE=my_images     # a folder of images or of stereo pairs, a video, or a rosbag2 or .mcap recording
make demo MODEL=my_model.onnx    # with a network of your own
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rclpy.executors import ExternalShutdownException

from .report import FILES, print_report
from .session import DemoError, DemoOptions, DemoSession


def run(options: DemoOptions) -> int:
    """Play a source through the nodes and report. Returns the exit code."""
    options.output.mkdir(parents=True, exist_ok=True)
    for old in FILES:
        (options.output / old).unlink(missing_ok=True)
    session = DemoSession(options)
    try:
        session.watch()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        print("stopped", file=sys.stderr)
    finally:
        session.close()
    if len(session.monitor.records) < 2:
        print("demo: fewer than two frames were processed", file=sys.stderr)
        return 1
    print_report(session.monitor, options.output, options.stereo)
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sequence",
        dest="source",
        default="flight",
        help="flight, a camera index, a folder of images or stereo pairs, a video file, or a recording (%(default)s)",
    )
    parser.add_argument("--model", default="", help="ONNX file of the network (the shipped one)")
    parser.add_argument("--seconds", type=float, default=20.0, help="time to run from the first matches (%(default)s)")
    parser.add_argument("--rate", type=float, default=0.0, help="images per second (the source's own)")
    parser.add_argument(
        "--disparity-offset", type=float, default=0.0, help="pixels to add to disparities of a badly rectified pair"
    )
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for the results (%(default)s)")
    parser.add_argument("--domain", type=int, help="ROS_DOMAIN_ID to run on (a random one)")
    return run(DemoOptions(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    sys.exit(main())
