"""The node and a camera in processes of their own, watched over DDS; shared by `benchmarks.node` and `benchmarks.soak`.

The camera is the player, which reads raw pictures of the synthetic flight in less than a millisecond each: a camera's
driver does not render images either.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import PointCloud2
from tqdm import tqdm

from silk_ros.images.flight import SyntheticFlight
from silk_ros.ros.node.subprocesses import isolate_ros, start, stop

KEYPOINTS, PRECISION = 1000, "int8"
FLIGHT_IMAGES, FLIGHT_RATE = 300, 30.0  # played in a loop
START_TIMEOUT = 30.0  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """Resources of a process, as Linux reports them in /proc."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._folder = Path(f"/proc/{process.pid}")

    def cpu_seconds(self) -> float:
        # The name, in brackets, may hold spaces; user and system time are fields 14 and 15.
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self) -> float:
        return self._status("VmRSS") / 1024

    def threads(self) -> int:
        return self._status("Threads")

    def open_files(self) -> int:
        return len(list((self._folder / "fd").iterdir()))

    def _status(self, name: str) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


class Listener:
    """Counts the node's messages as a program downstream would receive them, and keeps its diagnostics."""

    def __init__(self) -> None:
        self.features = self.matches = 0
        self.diagnostics: list[dict[str, str]] = []
        self._node = rclpy.create_node("benchmark")
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._node.create_subscription(PointCloud2, "/silk/features", self._on_features, 10)
        self._node.create_subscription(PointCloud2, "/silk/matches", self._on_matches, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics.append({value.key: value.value for value in message.status[0].values})

    def _on_features(self, _: PointCloud2) -> None:
        self.features += 1

    def _on_matches(self, _: PointCloud2) -> None:
        self.matches += 1

    def watch(self, seconds: float, description: str) -> Iterator[None]:
        """Receive for a number of seconds, and yield after each."""
        started = time.monotonic()
        for second in tqdm(range(1, max(1, round(seconds)) + 1), desc=description, unit="s"):
            while (left := started + second - time.monotonic()) > 0:
                self._executor.spin_once(timeout_sec=left)
            yield

    def wait(self, process: subprocess.Popen) -> None:
        """Receive until the node's first diagnostics. Raises RuntimeError if they do not come."""
        end = time.monotonic() + START_TIMEOUT
        while not self.diagnostics:
            self._executor.spin_once(timeout_sec=0.2)
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError("the node did not start; see the log above")

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()


@contextmanager
def own_ros() -> Iterator[Path]:
    """A ROS domain of its own and a temporary folder, inside the context."""
    isolate_ros()
    rclpy.init()
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        rclpy.try_shutdown()


@contextmanager
def node_and_camera(
    listener: Listener, images: Path, rate: float, *parameters: str
) -> Iterator[tuple[subprocess.Popen, subprocess.Popen]]:
    """The node with these parameters, and a camera that starts when the node is up; both end with the context.

    Raises RuntimeError if the node does not start.
    """
    processes = [start("silk_node", f"max_keypoints:={KEYPOINTS}", *parameters)]
    try:
        listener.wait(*processes)  # an earlier image would wait for the network's compilation
        source = [f"source:={images}", f"camera_info_file:={images / 'camera.yaml'}"]
        processes.append(start("image_player", *source, f"rate:={float(rate)}"))
        yield processes[0], processes[1]
    finally:
        stop(*processes)
        listener.close()


def write_images(folder: Path, shrink: int) -> Path:
    """Write pictures of the flight, reduced by the factor `shrink`, and their calibration to a new folder."""
    folder.mkdir()
    flight = SyntheticFlight()
    camera = flight.camera
    size = camera.width // shrink, camera.height // shrink
    for index in tqdm(range(FLIGHT_IMAGES), desc=f"pictures of {size[0]}x{size[1]}"):
        image = cv2.resize(flight.render(index / FLIGHT_RATE), size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{index:04d}.pgm"), image)
    matrix = np.diag([1 / shrink, 1 / shrink, 1]) @ camera.matrix
    matrix[:2, 2] = (camera.matrix[:2, 2] + 0.5) / shrink - 0.5
    calibration = {
        "image_width": size[0],
        "image_height": size[1],
        "camera_matrix": {"data": matrix.ravel().tolist()},
        "distortion_model": camera.model,
        "distortion_coefficients": {"data": camera.distortion.tolist()},
    }
    (folder / "camera.yaml").write_text(yaml.safe_dump(calibration), encoding="utf-8")
    return folder
