"""The whole front-end on one machine: player, front-end and odometry as processes over DDS, measured from outside.

make demo                        # a synthetic flight with known poses
make demo SEQUENCE=my_images     # a folder of images or of stereo pairs, a video, or a rosbag2 or .mcap recording
make demo MODEL=my_model.onnx    # with a network of your own
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from ...command_line import command_parser
from ...images.sources import open_source
from ..node.subprocesses import isolate_ros, start, stop, text
from .monitor import FRONT_END, ODOMETRY, DemoMonitor
from .report import live_line, print_report

START_TIMEOUT = 30.0  # seconds for the first matches to arrive
VIDEO_RATE = 10.0  # frames per second of the overlay video


class DemoError(Exception):
    """The demo cannot go on; the message is the reason."""


class DemoOptions(argparse.Namespace):
    """Arguments of the demo, which its `--help` describes."""

    source: str
    topic: str
    model: str
    seconds: float
    output: Path
    domain: int | None
    rate: float
    disparity_offset: float
    stereo: bool  # whether the source has stereo pairs


class DemoSession:
    """Player, front-end and odometry as processes, and a monitor of what they publish. Close it at the end."""

    def __init__(self, options: DemoOptions) -> None:
        self._options = options
        isolate_ros(options.domain)
        rclpy.init()
        self.monitor = DemoMonitor(options.output, VIDEO_RATE, "left/" if options.stereo else "")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.monitor)
        self._processes: dict[str, subprocess.Popen] = {}

    def watch(self) -> None:
        """Play the source, and print a line a second from the first matches on.

        Raises DemoError when no matches arrive or a process ends early.
        """
        deadline = time.monotonic() + START_TIMEOUT
        self._start_listeners()
        self._spin_until(lambda: {FRONT_END, ODOMETRY} <= self.monitor.diagnostics.keys(), deadline)
        options = self._options
        player = [text("source", options.source), text("topic", options.topic), f"rate:={options.rate}"]
        player += ["loop:=true", "wait:=true"]
        self._processes["image_player"] = start("image_player", *player)
        self._spin_until(lambda: bool(self.monitor.records), deadline)
        began, shown = time.monotonic(), 0
        for second in range(1, math.ceil(self._options.seconds) + 1):
            while time.monotonic() < began + min(second, self._options.seconds):
                self._spin_once()
            print(live_line(second, self.monitor.records[shown:]), flush=True)
            shown = len(self.monitor.records)

    def close(self) -> None:
        """Finish the files of the monitor and end the processes."""
        self.monitor.close()
        stop(*self._processes.values())
        rclpy.try_shutdown()

    def _start_listeners(self) -> None:
        options = self._options
        front_end = [f"no_data_timeout:={START_TIMEOUT}"]  # the player starts later
        front_end += [text("model_path", options.model)] if options.model else []
        front_end += ["stereo.sync:=exact"] if options.stereo else []
        odometry = [f"mode:={'stereo' if options.stereo else 'mono'}", f"disparity_offset:={options.disparity_offset}"]
        odometry.append(text("trajectory_file", options.output.resolve() / "odometry.txt"))
        remap = ["camera_info:=left/camera_info"] if options.stereo else []
        self._processes["silk_node"] = start("silk_node", *front_end)
        self._processes["odometry_node"] = start("odometry_node", *odometry, remap=remap)

    def _spin_once(self) -> None:
        """Receive messages for a moment, and check that the processes are alive."""
        self._executor.spin_once(timeout_sec=0.1)
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise DemoError(f"{name} has ended with exit code {process.returncode}; see the log above")

    def _spin_until(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition():
            self._spin_once()
            if time.monotonic() > deadline:
                raise DemoError(f"no matches arrived within {START_TIMEOUT:g} s; see the log above")


def run(options: DemoOptions) -> int:
    """Play a source through the nodes and report. Returns the exit code."""
    try:
        options.stereo = open_source(options.source, options.topic).stereo
    except (OSError, ValueError, ImportError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    for old in ("odometry.txt", "trajectory.png"):  # not every run writes these
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
    parser = command_parser("demo", __doc__)
    source = "flight, a camera index, a folder of images, a data set, a video, or a recording (%(default)s)"
    parser.add_argument("--sequence", dest="source", default="flight", help=source)
    parser.add_argument("--topic", default="", help="image topic of a recording (the first usable one by name)")
    parser.add_argument("--model", default="", help="ONNX file of the network (the shipped one)")
    parser.add_argument("--seconds", type=float, default=20.0, help="time to run from the first matches (%(default)s)")
    parser.add_argument("--rate", type=float, default=0.0, help="images per second (the source's own)")
    offset = "pixels to add to disparities of a badly rectified pair"
    parser.add_argument("--disparity-offset", type=float, default=0.0, help=offset)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for the results (%(default)s)")
    parser.add_argument("--domain", type=int, help="ROS_DOMAIN_ID to run on (a random one)")
    return run(parser.parse_args(arguments, DemoOptions()))


if __name__ == "__main__":
    sys.exit(main())
