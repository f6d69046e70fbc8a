"""The whole node in its own process, fed by a camera over DDS and watched from here: rates, drops, CPU and memory.

python -m benchmarks.node            # ten minutes; leave the machine alone meanwhile
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.common import parser, save, verdict
from benchmarks.live import KEYPOINTS, PRECISION, Listener, Process, node_and_camera, own_ros, write_images

WARM_UP = 15.0  # seconds; the diagnostics cover the last five
DELIVERED = 0.98  # least share of the camera's nominal rate; below it the player limits the measurement

Results = dict[str, float | str]


def measure(name: str, images: Path, rate: float, duration: float, *parameters: str) -> Results:
    """Run node and camera for `duration` seconds; prints and returns rates in Hz, times in ms, MB and CPU in cores.

    rate:       of the camera, in Hz.
    parameters: the node's, where they differ from the defaults.
    """
    listener = Listener()
    with node_and_camera(listener, images, rate, f"precision:={PRECISION}", *parameters) as processes:
        node, player = map(Process, processes)
        list(listener.watch(WARM_UP, f"{name}, warming up"))
        first, matches, began = len(listener.diagnostics), listener.matches, time.monotonic()
        before, cpu = listener.diagnostics[-1], [process.cpu_seconds() for process in (node, player)]
        resident = [node.resident_mb() for _ in listener.watch(duration, name)]
        seconds = time.monotonic() - began
        shares = [(process.cpu_seconds() - used) / seconds for process, used in zip((node, player), cpu)]
        published = (listener.matches - matches) / seconds
    windows, after = listener.diagnostics[first:], listener.diagnostics[-1]
    received, dropped = (int(after[key]) - int(before[key]) for key in ("received_frames", "dropped_frames"))

    def median(key: str) -> float:
        return round(float(np.median([float(window[key]) for window in windows])), 2)

    tenth = max(1, len(resident) // 10)
    results: Results = {
        "camera_hz": round(rate, 2),
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
    print("\n".join(f"  {key}: {value}" for key, value in results.items()))
    return results


def judge(results: dict[str, Results]) -> list[dict[str, object]]:
    """The verdicts on all scenarios."""

    def value(scenario: str, key: str) -> float:
        return float(results[scenario][key])

    for name, found in results.items():
        if name != "twice as fast" and float(found["received_hz"]) < DELIVERED * float(found["camera_hz"]):
            print(f"{name}: only {found['received_hz']} Hz of {found['camera_hz']} Hz came from the player")
    setting = f"K = {KEYPOINTS}, {PRECISION}"
    age = value("twice as fast", "latency_p50_ms") / value("twice as fast", "processing_p50_ms")
    overhead = value("default scale", "overhead_p50_ms")
    drops, minutes = 100 * value("60 Hz", "dropped_share"), value("memory", "seconds") / 60
    growth = f"growth of memory over {minutes:.3g} minutes at 30 Hz, MB"
    resident = max(float(found["resident_mb"]) for found in results.values())
    return [
        verdict(f"frames/s, 640x480 at 30 Hz, {setting}", value("default scale", "published_hz"), 25, at_least=True),
        verdict(f"frames/s, the same at scale 1.0, {setting}", value("scale 1.0", "published_hz"), 25, at_least=True),
        verdict(f"frames dropped, 320x240 at 60 Hz, {setting}, %", drops, 1, at_least=False),
        verdict("of these 60 Hz the node received, Hz", value("60 Hz", "received_hz"), DELIVERED * 60, at_least=True),
        verdict("overhead beyond extraction and matching, ms p50", overhead, 3, at_least=False),
        verdict("frame age p50 / processing p50, camera twice as fast as the node", age, 1.5, at_least=False),
        verdict("resident memory, MB", resident, 500, at_least=False),
        verdict(growth, value("memory", "growth_mb"), 5, at_least=False),
    ]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=60.0, help="length of each measurement (%(default)s)")
    arguments.add_argument("--minutes", type=float, default=5.0, help="length of the one of memory (%(default)s)")
    options = arguments.parse_args()
    seconds, full_size = options.seconds, "scale:=1.0"
    results: dict[str, Results] = {}
    try:
        with own_ros() as folder:
            large, small = write_images(folder / "large", 1), write_images(folder / "small", 2)
            results["default scale"] = measure("default scale", large, 30, seconds)
            results["scale 1.0"] = measure("scale 1.0", large, 30, seconds, full_size)
            results["60 Hz"] = measure("60 Hz", small, 60, seconds)
            twice = 2000 / float(results["scale 1.0"]["processing_p50_ms"])
            results["twice as fast"] = measure("twice as fast", large, twice, seconds / 3, full_size)
            results["memory"] = measure("memory", large, 30, 60 * options.minutes)
    except (OSError, RuntimeError) as error:
        raise SystemExit(f"node: {error}") from error
    setting = {"keypoints": KEYPOINTS, "precision": PRECISION}
    save("node", {**setting, "scenarios": results, "verdicts": judge(results)}, per_machine=True)


if __name__ == "__main__":
    main()
