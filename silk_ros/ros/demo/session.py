"""One run of the demo: the nodes as processes, started, watched and ended."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor

from ...images.kitti import stereo_folders
from ..node.subprocesses import isolate_ros, start, stop
from .monitor import FRONT_END, ODOMETRY, DemoMonitor
from .report import live_line

START_TIMEOUT = 30.0  # seconds for the first matches to arrive
VIDEO_RATE = 10.0  # frames per second of the overlay video


class DemoError(Exception):
    """The demo cannot go on; the message is the reason."""


@dataclass(frozen=True)
class DemoOptions:
    """What the demo runs on.

    source: of the images, see `open_source`. model: ONNX file, empty for the shipped one. seconds: after the first
    matches. output: folder for the results. domain: ROS_DOMAIN_ID, None for a random one. rate: images per second, 0
    for the source's own. disparity_offset: pixels to add to disparities of a badly rectified pair.
    """

    source: str
    model: str
    seconds: float
    output: Path
    domain: int | None = None
    rate: float = 0.0
    disparity_offset: float = 0.0

    @property
    def stereo(self) -> bool:
        """Whether the source is a folder of stereo pairs."""
        return stereo_folders(Path(self.source).expanduser()) is not None


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
        self._start_player()
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
        """Start the front-end and the odometry."""
        options = self._options
        front_end = [f"no_data_timeout:={START_TIMEOUT}"]  # the player starts later
        front_end += [f"model_path:={options.model}"] if options.model else []
        front_end += ["stereo.sync:=exact"] if options.stereo else []
        odometry = [f"mode:={'stereo' if options.stereo else 'mono'}", f"disparity_offset:={options.disparity_offset}"]
        odometry.append(f"trajectory_file:={options.output.resolve() / 'odometry.txt'}")
        remap = ["camera_info:=left/camera_info"] if options.stereo else []
        self._processes["silk_node"] = start("silk_node", *front_end)
        self._processes["odometry_node"] = start("odometry_node", *odometry, remap=remap)

    def _start_player(self) -> None:
        parameters = [f"source:={self._options.source}", f"rate:={self._options.rate}", "loop:=true", "wait:=true"]
        self._processes["image_player"] = start("image_player", *parameters)

    def _spin_once(self) -> None:
        """Receive messages for a moment, and check that the processes are alive."""
        self._executor.spin_once(timeout_sec=0.1)
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise DemoError(f"{name} has ended with exit code {process.returncode}; see the log above")

    def _spin_until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Receive messages until the condition holds."""
        while not condition():
            self._spin_once()
            if time.monotonic() > deadline:
                raise DemoError(f"no matches arrived within {START_TIMEOUT:g} s; see the log above")
