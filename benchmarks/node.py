"""The whole node in its own process, fed by the player over DDS: frame age, overhead and memory.

python -m benchmarks.node
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor

from benchmarks.common import save, verdict
from silk_ros.ros.demo import isolate_ros, start, stop

KEYPOINTS = 1000
DURATION = 20.0  # seconds; the diagnostics look back over the last few
SLOW_CAMERA = 2.0  # Hz


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def measure(rate: float) -> dict[str, float]:
    """The node's own diagnostics, in ms, and its memory, after a while under a camera of the given rate."""
    values: dict[str, str] = {}

    def keep(message: DiagnosticArray) -> None:
        values.update({value.key: value.value for value in message.status[0].values})

    listener = rclpy.create_node("benchmark")
    listener.create_subscription(DiagnosticArray, "/diagnostics", keep, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    node = start("silk_node", f"max_keypoints:={KEYPOINTS}")
    player = start("image_player", f"rate:={rate}")
    end = time.monotonic() + DURATION
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.2)
    memory = resident_megabytes(node.pid)
    stop(player, node)
    listener.destroy_node()
    names = ("input_rate_hz", "rate_hz", "latency_p50_ms", "latency_p99_ms", "processing_p50_ms", "front_end_p50_ms")
    return {name: float(values[name]) for name in names} | {
        "resident_mb": round(memory, 1),
        "camera_hz": round(rate, 2),
    }


def main() -> int:
    isolate_ros()
    rclpy.init()
    slow = measure(SLOW_CAMERA)
    fast = measure(2000 / slow["processing_p50_ms"])  # twice as fast as the node
    rclpy.try_shutdown()
    overhead = slow["processing_p50_ms"] - slow["front_end_p50_ms"]
    verdicts = [
        verdict(
            "frame age p50 / processing p50, camera twice as fast as the node",
            fast["latency_p50_ms"] / fast["processing_p50_ms"],
            1.5,
            at_least=False,
        ),
        verdict("overhead beyond extraction and matching, ms p50", overhead, 5.0, at_least=False),
        verdict("resident memory, MB", max(slow["resident_mb"], fast["resident_mb"]), 500, at_least=False),
    ]
    save("node", {"keypoints": KEYPOINTS, "slow camera": slow, "fast camera": fast, "verdicts": verdicts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
