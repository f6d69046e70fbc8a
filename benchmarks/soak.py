"""A long run of camera, node and listener, each in a process of its own: growth of memory and lost frames.

python -m benchmarks.soak            # ten minutes; leave the machine alone meanwhile
"""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from matplotlib.figure import Figure
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, PointCloud2

from benchmarks.common import RESULTS, parser, save, verdict
from benchmarks.live import KEYPOINTS, PRECISION, Listener, Process, node_and_camera, own_ros, write_images
from silk_ros.ros.messages import stamp_nanoseconds

RATE = 30.0  # Hz of the camera
INTERVAL = 10  # seconds between samples
WARM_UP = 60.0  # seconds until memory should be constant; a third of a shorter run
SETTLE = 3.0  # seconds from the last image to the last diagnostics
MAX_GROWTH_MB = 5
ERRORS = ("failed_frames", "rejected_images", "rejected_camera_info")

Sample = dict[str, float]


class CountingListener(Listener):
    """Also counts the camera's images, and measures the age of matches on arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.latencies_ms: list[float] = []
        self._images: list[tuple[int, int]] = []  # stamp and number of those whose camera_info arrived
        self._diagnostics_stamp = 0
        callback: Any = self._on_camera_info  # rclpy's types allow one argument only
        self._node.create_subscription(CameraInfo, "camera_info", callback, qos_profile_sensor_data)

    def _on_camera_info(self, message: CameraInfo, info: dict[str, int]) -> None:
        self._images.append((stamp_nanoseconds(message.header.stamp), info["publication_sequence_number"]))

    def _on_matches(self, cloud: PointCloud2) -> None:
        super()._on_matches(cloud)
        now = self._node.get_clock().now().nanoseconds
        self.latencies_ms.append((now - stamp_nanoseconds(cloud.header.stamp)) / 1e6)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        super()._on_diagnostics(message)
        self._diagnostics_stamp = stamp_nanoseconds(message.header.stamp)

    def counters(self) -> dict[str, int]:
        """The numbers of images and frames up to the node's last diagnostics."""
        latest = self.diagnostics[-1]
        images = bisect_left(self._images, (self._diagnostics_stamp, 0))
        return {
            "published": self._images[images - 1][1] if images else 0,
            **{name: int(latest[f"{name}_frames"]) for name in ("received", "processed", "dropped")},
        }


def take_sample(seconds: float, listener: CountingListener, node: Process) -> Sample:
    """The node at one time: images and frames since the start, latency over the last interval, and resources.

    The latency is the time from the image's stamp to the arrival of its matches at the listener.
    """
    latencies, listener.latencies_ms = listener.latencies_ms, []
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (np.nan, np.nan)
    return {
        "seconds": seconds,
        **listener.counters(),
        "latency_p50_ms": round(float(p50), 2),
        "latency_p99_ms": round(float(p99), 2),
        "resident_mb": round(node.resident_mb(), 2),
        "open_files": node.open_files(),
        "threads": node.threads(),
    }


def soak(images: Path, seconds: float) -> tuple[list[Sample], dict[str, int]]:
    """Run for a number of seconds; returns samples, and the sums after the camera has stopped and the node is idle.

    Camera and node have found each other before the first sample, so images count as lost only after it. Raises
    RuntimeError if a process ends early.
    """
    listener = CountingListener()
    samples: list[Sample] = []
    with node_and_camera(listener, images, RATE, f"precision:={PRECISION}") as processes:
        for second, _ in enumerate(listener.watch(seconds, "soak"), start=1):
            if any(process.poll() is not None for process in processes):
                raise RuntimeError("a process has ended; see the log above")
            if second % INTERVAL == 0 or second == max(1, round(seconds)):
                samples.append(take_sample(second, listener, Process(processes[0])))
        processes[1].terminate()
        list(listener.watch(SETTLE, "last frames"))
    first, last = samples[0], listener.counters()
    passed = {name: int(last[name] - first[name]) for name in last}
    sums = {
        # An image that was in transit at the first sample counts as received only.
        "lost_before_node": max(0, passed["published"] - passed["received"]),
        "unaccounted": abs(last["received"] - last["processed"] - last["dropped"]),
        "lost_after_node": last["processed"] - min(listener.features, listener.matches),
        "errors": sum(int(listener.diagnostics[-1][name]) for name in ERRORS),
        "exit_codes": sum(abs(process.returncode) for process in processes),
    }
    return samples, last | sums


def judge(samples: list[Sample], sums: dict[str, int]) -> list[dict[str, object]]:
    """The verdicts on memory and on lost frames."""
    length = samples[-1]["seconds"]
    warm = min(WARM_UP, length / 3)
    resident = [sample["resident_mb"] for sample in samples if sample["seconds"] >= warm]
    memory = f"growth of memory over {length / 60:.3g} minutes after the first {warm:.0f} s, MB"
    return [
        verdict(memory, max(resident) - resident[0], MAX_GROWTH_MB, at_least=False),
        *(
            verdict(what, sums[name], 0, at_least=False)
            for name, what in (
                ("lost_before_node", "images lost between camera and node"),
                ("unaccounted", "images received, but neither processed nor dropped for a newer one"),
                ("lost_after_node", "frames processed whose features or matches did not arrive"),
                ("errors", "images and calibrations that were refused, frames that failed"),
                ("exit_codes", "exit codes of node and camera"),
            )
        ),
    ]


def draw(samples: list[Sample], path: Path) -> None:
    """Memory and latency over time, as a PNG."""
    minutes = [sample["seconds"] / 60 for sample in samples]
    resident, p50, p99 = (
        [sample[name] for sample in samples] for name in ("resident_mb", "latency_p50_ms", "latency_p99_ms")
    )
    figure = Figure(figsize=(7, 5), dpi=144, layout="constrained")
    memory, latency = figure.subplots(2, 1, sharex=True)
    memory.plot(minutes, resident, color="#D55E00")
    memory.set(ylabel="resident memory, MB", ylim=(0, 1.2 * max(resident)), xlim=(0, None))
    latency.plot(minutes, p99, color="#56B4E9", label="99th percentile")
    latency.plot(minutes, p50, color="#0072B2", label="median")
    latency.set(ylabel="stamp to listener, ms", ylim=(0, 1.2 * max(p99)), xlabel="minutes")
    latency.legend(frameon=False)
    for panel in (memory, latency):
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", alpha=0.3)
    figure.suptitle(f"silk_node, 640x480 at {RATE:g} Hz, K = {KEYPOINTS}, {PRECISION}")
    figure.savefig(path)
    print(f"wrote {path}")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--minutes", type=float, default=10.0, help="length of the run (%(default)s)")
    options = arguments.parse_args()
    try:
        with own_ros() as folder:
            samples, sums = soak(write_images(folder / "images", 1), 60 * options.minutes)
    except (OSError, RuntimeError) as error:
        raise SystemExit(f"soak: {error}") from error
    setting = {"keypoints": KEYPOINTS, "precision": PRECISION, "camera_hz": RATE}
    save("soak", {**setting, "sums": sums, "verdicts": judge(samples, sums), "samples": samples})
    draw(samples, RESULTS / "soak.png")


if __name__ == "__main__":
    main()
