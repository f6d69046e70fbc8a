"""The processes of the demo, and the loops that watch them."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor

from ...images.calibration_file import write_calibration
from ...words import counted
from ..node.subprocesses import isolate_ros, start, stop, text
from .answers import cpu_seconds, silence
from .monitor import FRONT_END, ODOMETRY_NODE, DemoMonitor
from .options import DemoOptions
from .report import live_line

VIDEO_RATE = 10.0  # frames per second of the overlay video
LAST_MESSAGES = 5.0  # seconds to wait at the end for the last overlay and the last diagnostics, at most
NODES = {"silk_node": FRONT_END, "odometry_node": ODOMETRY_NODE}  # processes, and the names of their nodes


class DemoError(Exception):
    """The demo cannot go on; the message is the reason."""


class DemoSession:
    """Player, front-end and odometry as processes, and a monitor of what they publish. Close it at the end."""

    def __init__(self, options: DemoOptions, folder: Path) -> None:
        """folder: for the files that are written."""
        self._options, self._folder = options, folder
        isolate_ros(options.domain)
        rclpy.init()
        self._nodes = NODES | ({"view_node": "view"} if options.view else {})
        images = None if options.live else options.max_images
        self.monitor = DemoMonitor(folder, VIDEO_RATE, "left/" if options.stereo else "", images)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.monitor)
        self._processes: dict[str, subprocess.Popen] = {}
        self._used: dict[str, float] = {}  # processor time of each process when something new came last
        self._since = 0.0  # that moment

    def watch(self) -> None:
        """Play the source, and print a line a second from the first matches on.

        Raises DemoError when an answer is missing for too long or a process ends early.
        """
        self._start_listeners()
        self._spin_until(lambda: set(self._nodes.values()) <= self.monitor.diagnostics.keys())
        self._start_player()
        if self._options.live:
            self._watch_live()
        else:
            self._watch_steps()
        self._wait_for_last_messages()

    def close(self) -> None:
        """Finish the files of the monitor and end the processes."""
        self.monitor.close()
        stop(*self._processes.values())
        rclpy.try_shutdown()

    def _start_listeners(self) -> None:
        options = self._options
        front_end = [f"no_data_timeout:={options.timeout}"]  # the player starts later
        front_end += [text("model_path", options.model)] if options.model else []
        front_end += ["stereo.sync:=exact"] if options.stereo else []
        front_end += [] if options.live else ["image_reliability:=reliable"]
        given = options.front_end().items()
        front_end += [text(name, value) if isinstance(value, str) else f"{name}:={value}" for name, value in given]
        odometry = [f"mode:={'stereo' if options.stereo else 'mono'}", f"disparity_offset:={options.disparity_offset}"]
        remap = ["camera_info:=left/camera_info"] if options.stereo else []
        self._processes["silk_node"] = start("silk_node", *front_end)
        self._processes["odometry_node"] = start("odometry_node", *odometry, remap=remap)
        if options.view:
            file = text("file", (self._folder / "demo.rrd").resolve())
            remap += ["image_raw:=left/image_raw"] if options.stereo else []
            self._processes["view_node"] = start("view_node", f"viewer:={options.view}", file, remap=remap)

    def _start_player(self) -> None:
        options = self._options
        player = [text("source", options.source), text("topic", options.topic), f"rate:={options.rate}", "wait:=true"]
        player += ["loop:=true"] if options.live else ["loop:=false", "step:=true", "reliability:=reliable"]
        if options.calibration is not None:
            file = self._folder / "camera.yaml"
            write_calibration(file, options.calibration)
            player.append(text("camera_info_file", file.resolve()))
        self._processes["image_player"] = start("image_player", *player)

    def _watch_live(self) -> None:
        records, seconds = self.monitor.records, self._options.seconds or 0.0
        self._spin_until(lambda: bool(records))
        began, shown = time.monotonic(), 0
        for second in range(1, math.ceil(seconds) + 1):
            while time.monotonic() < began + min(second, seconds):
                self._spin_once()
            begin = f"{second:3d} s  {counted(len(records) - shown, 'image'):>9}"
            print(live_line(begin, records[shown:]), flush=True)
            shown = len(records)

    def _watch_steps(self) -> None:
        """Wait until all images are answered."""
        monitor, shown, due = self.monitor, 0, 0.0
        while monitor.answers.answered < (self._options.max_images or 0) and not self._played():
            self._spin_once()
            self._check_silence()
            if len(monitor.records) > shown and time.monotonic() >= due:
                print(live_line(f"image {len(monitor.records):4d}", monitor.records[shown:]), flush=True)
                shown, due = len(monitor.records), time.monotonic() + 1

    def _played(self) -> bool:
        """Whether the player has come to the end of the source."""
        return self._processes["image_player"].poll() == 0

    def _wait_for_last_messages(self) -> None:
        """Wait for the last overlay, and for diagnostics that count everything."""
        monitor, now = self.monitor, time.monotonic()
        while time.monotonic() < now + LAST_MESSAGES:
            self._spin_once()
            fresh = all(monitor.diagnosed[node] > now + 0.5 for node in self._nodes.values())
            if fresh and (self._options.live or monitor.shown == len(monitor.records)):
                return

    def _spin_once(self) -> None:
        """Receive messages for a moment, and check that the processes are alive."""
        self._executor.spin_once(timeout_sec=0.1)
        for name, process in self._processes.items():
            ended = process.poll()
            at_the_end = ended == 0 and name == "image_player" and not self._options.live
            if ended is not None and not at_the_end:
                raise DemoError(f"{name} has ended with exit code {ended}; see the log above")

    def _spin_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._spin_once()
            self._check_silence()

    def _check_silence(self) -> None:
        """Raise DemoError, naming the silent process, when nothing new has come for too long."""
        answers, timeout = self.monitor.answers, self._options.timeout
        if answers.progress != self._since:
            self._since = answers.progress
            self._used = {name: cpu_seconds(process.pid) for name, process in self._processes.items()}
        seconds = time.monotonic() - self._since
        if seconds < timeout:
            return
        process = self._silent_process()
        used = cpu_seconds(self._processes[process].pid) - self._used.get(process, 0.0)
        last_error = self.monitor.diagnostics.get(NODES.get(process, ""), {}).get("last_error", "")
        raise DemoError(silence(process, answers, timeout, used / seconds, last_error))

    def _silent_process(self) -> str:
        """The process that others wait for."""
        for process, node in self._nodes.items():
            if node not in self.monitor.diagnostics:
                return process
        return self.monitor.answers.silent()
