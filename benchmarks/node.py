"""The whole node in its own process, fed by the player over DDS and watched from here: rates, drops, CPU and memory.

python -m benchmarks.node            # ten minutes; leave the machine alone meanwhile

The player reads raw pictures of the synthetic flight, which costs it less than a millisecond each: a camera's driver
does not render either.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import PointCloud2
from tqdm import tqdm

from benchmarks.common import save, verdict
from silk_ros.images.flight import SyntheticFlight
from silk_ros.ros.node.subprocesses import isolate_ros, start, stop

KEYPOINTS, PRECISION = 1000, "int8"
FLIGHT_IMAGES, FLIGHT_RATE = 300, 30.0  # played again and again
START_TIMEOUT = 30.0  # seconds
WARM_UP = 15.0  # seconds; the diagnostics look back over the last five
DELIVERED = 0.98  # share of a camera's nominal rate below which the player, not the node, is measured
TICKS = os.sysconf("SC_CLK_TCK")

Results = dict[str, float | str]


@dataclass(frozen=True)
class Scenario:
    """A camera, the parameters of the node that differ from their defaults, and how long to watch, in seconds."""

    images: Path
    rate: float
    seconds: float
    parameters: tuple[str, ...] = ()


class Process:
    """What Linux says of a process."""

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


class Monitor:
    """Receives what the node publishes, as a program downstream would."""

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
        """Receive for a while, and give control every second."""
        started = time.monotonic()
        for second in tqdm(range(1, max(1, round(seconds)) + 1), desc=description, unit="s"):
            while (left := started + second - time.monotonic()) > 0:
                self._executor.spin_once(timeout_sec=left)
            yield

    def wait(self, *processes: subprocess.Popen) -> None:
        """Until the first diagnostics are here. Raises RuntimeError if they do not come."""
        end = time.monotonic() + START_TIMEOUT
        while not self.diagnostics:
            self._executor.spin_once(timeout_sec=0.2)
            if time.monotonic() > end or any(process.poll() is not None for process in processes):
                raise RuntimeError("the node did not start; see the log above")

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()


def measure(name: str, scenario: Scenario) -> Results:
    """Run node and player, and report rates in Hz, times in ms, memory in MB and CPU in cores."""
    monitor = Monitor()
    processes = [start("silk_node", f"max_keypoints:={KEYPOINTS}", *scenario.parameters)]
    try:
        monitor.wait(*processes)  # an image before would wait for the network's compilation
        source = [f"source:={scenario.images}", f"camera_info_file:={scenario.images / 'camera.yaml'}"]
        processes.append(start("image_player", *source, f"rate:={float(scenario.rate)}"))
        node, player = map(Process, processes)
        list(monitor.watch(WARM_UP, f"{name}, warming up"))
        first, matches, began = len(monitor.diagnostics), monitor.matches, time.monotonic()
        before, cpu = monitor.diagnostics[-1], [process.cpu_seconds() for process in (node, player)]
        resident = [node.resident_mb() for _ in monitor.watch(scenario.seconds, name)]
        seconds = time.monotonic() - began
        shares = [(process.cpu_seconds() - used) / seconds for process, used in zip((node, player), cpu)]
        published = (monitor.matches - matches) / seconds
    finally:
        stop(*processes)
        monitor.close()
    windows, after = monitor.diagnostics[first:], monitor.diagnostics[-1]
    received, dropped = (int(after[key]) - int(before[key]) for key in ("received_frames", "dropped_frames"))

    def median(key: str) -> float:
        return round(float(np.median([float(window[key]) for window in windows])), 2)

    tenth = max(1, len(resident) // 10)
    return {
        "camera_hz": round(scenario.rate, 2),
        "received_hz": median("input_rate_hz"),
        "published_hz": round(published, 2),
        "dropped_share": round(dropped / max(1, received), 5),
        "latency_p50_ms": median("latency_p50_ms"),
        "latency_p99_ms": median("latency_p99_ms"),
        "worst_latency_p99_ms": max(float(window["latency_p99_ms"]) for window in windows),
        "processing_p50_ms": median("processing_p50_ms"),
        "overhead_p50_ms": round(median("processing_p50_ms") - median("front_end_p50_ms"), 2),
        "matches": median("matches"),
        "resident_mb": round(float(np.median(resident)), 1),
        "growth_mb": round(float(np.median(resident[-tenth:]) - np.median(resident[:tenth])), 2),
        "node_cores": round(shares[0], 3),
        "player_cores": round(shares[1], 3),
        "seconds": round(seconds, 1),
        "backend": f"{after['backend']} on {after['device']}, {after['precision']}",
    }


def write_images(folder: Path, shrink: int) -> Path:
    """A folder of pictures of the flight, a `shrink`th of its size, with the camera's calibration."""
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


def judge(results: dict[str, Results]) -> list[dict[str, object]]:
    """The verdicts; the names say what was measured."""

    def value(scenario: str, key: str) -> float:
        return float(results[scenario][key])

    for name, found in results.items():
        if name != "twice as fast" and float(found["received_hz"]) < DELIVERED * float(found["camera_hz"]):
            print(f"{name}: only {found['received_hz']} Hz of {found['camera_hz']} Hz came from the player")
    setting = f"K = {KEYPOINTS}, {PRECISION}"
    age = value("twice as fast", "latency_p50_ms") / value("twice as fast", "processing_p50_ms")
    resident = max(float(found["resident_mb"]) for found in results.values())
    hertz, drops = value("60 Hz", "received_hz"), 100 * value("60 Hz", "dropped_share")
    default, full, memory = "default scale", "scale 1.0", "memory"
    return [
        verdict(f"frames/s, 640x480 at 30 Hz, {setting}", value(default, "published_hz"), 25, at_least=True),
        verdict(f"frames/s, the same at scale 1.0, {setting}", value(full, "published_hz"), 25, at_least=True),
        verdict(f"frames dropped, 320x240 at 60 Hz, {setting}, %", drops, 1, at_least=False),
        verdict("of these 60 Hz the node received, Hz", hertz, DELIVERED * 60, at_least=True),
        verdict(
            "overhead beyond extraction and matching, ms p50", value(default, "overhead_p50_ms"), 3, at_least=False
        ),
        verdict("frame age p50 / processing p50, camera twice as fast as the node", age, 1.5, at_least=False),
        verdict("resident memory, MB", resident, 500, at_least=False),
        verdict(
            f"growth of memory over {value(memory, 'seconds') / 60:.3g} minutes at 30 Hz, MB",
            value(memory, "growth_mb"),
            5,
            at_least=False,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement (%(default)s)")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the one of memory (%(default)s)")
    options = parser.parse_args()
    isolate_ros()
    precision, full_size = f"precision:={PRECISION}", "scale:=1.0"
    results: dict[str, Results] = {}
    rclpy.init()
    try:
        with tempfile.TemporaryDirectory() as folder:
            large, small = write_images(Path(folder) / "large", 1), write_images(Path(folder) / "small", 2)

            def add(name: str, scenario: Scenario) -> None:
                results[name] = measure(name, scenario)
                print("\n".join(f"  {key}: {value}" for key, value in results[name].items()))

            add("default scale", Scenario(large, 30, options.seconds, (precision,)))
            add("scale 1.0", Scenario(large, 30, options.seconds, (precision, full_size)))
            add("60 Hz", Scenario(small, 60, options.seconds, (precision,)))
            twice = 2000 / float(results["scale 1.0"]["processing_p50_ms"])
            add("twice as fast", Scenario(large, twice, options.seconds / 3, (precision, full_size)))
            add("memory", Scenario(large, 30, 60 * options.minutes, (precision,)))
    except (OSError, RuntimeError) as error:
        print(f"node: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    save(
        "node",
        {"keypoints": KEYPOINTS, "precision": PRECISION, "scenarios": results, "verdicts": judge(results)},
        per_machine=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
