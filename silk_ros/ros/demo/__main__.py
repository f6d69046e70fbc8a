"""The whole front-end on one machine: player, front-end and odometry as processes over DDS, measured from outside.

make demo                        # a synthetic flight with known poses
make demo SEQUENCE=my_images     # a folder of images or of stereo pairs, a video, or a rosbag2 or .mcap recording
make demo MODEL=my_model.onnx    # with a network of your own
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from ...images.kitti import stereo_folders
from ...paths import share_directory
from ..front_end.drop_watch import TOO_MANY, advice
from .monitor import EPIPOLAR_THRESHOLD, FRONT_END, ODOMETRY, DemoMonitor, FrameRecord
from .trajectory import compare, draw_trajectories

START_TIMEOUT = 30.0  # seconds for the first matches to arrive
VIDEO_RATE = 10.0  # frames per second of the overlay video


def isolate_ros(domain: int | None = None) -> None:
    """Keep to this machine and off other ROS 2 graphs (on a random domain if none is given), with room for images."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 50) if domain is None else domain)
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(share_directory() / "config" / "fastdds.xml")


def start(module: str, *parameters: str, remap: Sequence[str] = ()) -> subprocess.Popen:
    """Start one of the package's nodes in a process of its own. remap: such as "image_raw:=left/image_raw"."""
    options = [text for parameter in parameters for text in ("-p", parameter)]
    options += [text for rule in remap for text in ("-r", rule)]
    return subprocess.Popen([sys.executable, "-m", f"silk_ros.ros.{module}", "--ros-args", *options])


def stop(*processes: subprocess.Popen) -> None:
    """End processes that `start` started."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def live_line(seconds: int, records: list[FrameRecord]) -> str:
    if not records:
        return f"{seconds:3d} s  waiting for matches"
    latency = np.median([record.latency_ms for record in records])
    keypoints, matches = (np.median([getattr(record, name) for record in records]) for name in ("keypoints", "matches"))
    correct = np.nanmedian([record.correct for record in records]) if matches else float("nan")
    return (
        f"{seconds:3d} s  {len(records):3d} frames/s  latency {latency:6.1f} ms  {keypoints:5.0f} keypoints  "
        f"{matches:5.0f} matches  {correct:6.1%} correct"
    )


def summary(monitor: DemoMonitor, output: Path) -> list[tuple[str, str]]:
    """The closing table, measured over all frames that arrived; draws the trajectory into the folder `output`."""
    records = monitor.records
    span = max(record.stamp for record in records) - min(record.stamp for record in records)
    first, last = records[0].stamp, records[-1].stamp
    images = sum(1 for stamp in monitor.image_stamps if first <= stamp <= last)
    latency = np.percentile([record.latency_ms for record in records], [50, 99])
    paired = records[1:]  # the first frame has nothing to match
    matches = [record.matches for record in paired]
    weights = np.maximum(matches, 1)
    correct = np.average(np.nan_to_num([record.correct for record in paired]), weights=weights)
    geometry = "true" if monitor.has_ground_truth else "estimated"
    value = monitor.diagnostics.get(FRONT_END, {}).get
    return [
        ("camera", f"{(images - 1) / span:.1f} Hz"),
        ("processed", f"{(len(records) - 1) / span:.1f} Hz"),
        ("latency stamp to matches", f"{latency[0]:.1f} ms p50, {latency[1]:.1f} ms p99"),
        ("keypoints", f"{np.median([record.keypoints for record in records]):.0f} per frame"),
        ("matches", f"{np.median(matches):.0f} per frame (least {min(matches)})"),
        (f"within {EPIPOLAR_THRESHOLD} px of the {geometry} epipolar geometry", f"{correct:.1%}"),
        ("dropped frames", f"{value('dropped_frames', '?')} of {value('received_frames', '?')}"),
        ("odometry", odometry_line(monitor, output)),
        ("backend", f"{value('backend', '?')} on {value('device', '?')}, {value('precision', '?')}"),
        ("precision", value("precision_reason", "") or "as asked for"),
    ]


def slow_line(monitor: DemoMonitor, stereo: bool) -> str | None:
    """What to do where more than a tenth of the images was dropped; None where not."""
    value = monitor.diagnostics.get(FRONT_END, {}).get
    received, dropped = int(value("received_frames", "0")), int(value("dropped_frames", "0"))
    stamps = np.unique(monitor.image_stamps)
    if monitor.image_size is None or len(stamps) < 2 or dropped <= TOO_MANY * received:
        return None
    rate = 1 / float(np.median(np.diff(stamps)))  # an image that the monitor missed does not count
    program = shlex.quote(str(Path(sys.executable).with_name("benchmark")))
    return f"{dropped} of {received} images were dropped: {advice(rate, *monitor.image_size, stereo, program)}"


def odometry_line(monitor: DemoMonitor, output: Path) -> str:
    """Its drift where true poses are known, with a picture of both."""
    values = monitor.diagnostics.get(ODOMETRY, {})
    counts = f"{len(monitor.odometry)} poses, {values.get('failures', '?')} frames without a motion"
    if not monitor.odometry:
        return "no pose: the camera has not moved enough, or has no camera_info"
    comparison = compare(monitor.odometry, monitor.true_poses, metric=values.get("mode") == "stereo")
    if comparison is None:
        return f"{counts}; drift unknown (no true poses)"
    draw_trajectories(comparison, output / "trajectory.png")
    scale = "" if comparison.metric else ", up to scale"
    return f"drift {comparison.drift:.1f} % of {comparison.length:.2f} m{scale}; {counts}"


def run(
    source: str, model: str, seconds: float, output: Path, domain: int | None, rate: float, disparity_offset: float
) -> int:
    """Play a source through the node and report. Returns the exit code."""
    output.mkdir(parents=True, exist_ok=True)
    isolate_ros(domain)
    rclpy.init()
    stereo = stereo_folders(Path(source).expanduser()) is not None
    monitor = DemoMonitor(output, VIDEO_RATE, "left/" if stereo else "")
    executor = SingleThreadedExecutor()
    executor.add_node(monitor)
    for old in ("trajectory.png", "odometry.txt"):
        (output / old).unlink(missing_ok=True)
    front_end = [f"no_data_timeout:={START_TIMEOUT}"]  # the player starts later
    front_end += ([f"model_path:={model}"] if model else []) + (["stereo.sync:=exact"] if stereo else [])
    odometry = [f"mode:={'stereo' if stereo else 'mono'}", f"trajectory_file:={output.resolve() / 'odometry.txt'}"]
    odometry.append(f"disparity_offset:={disparity_offset}")
    processes = {
        "silk_node": start("silk_node", *front_end),
        "odometry_node": start("odometry_node", *odometry, remap=["camera_info:=left/camera_info"] if stereo else []),
    }
    started = last_line = time.monotonic()
    first_match: float | None = None
    shown = 0
    try:
        while first_match is None or time.monotonic() - first_match < seconds:
            executor.spin_once(timeout_sec=0.1)
            now = time.monotonic()
            if "image_player" not in processes and {FRONT_END, ODOMETRY} <= monitor.diagnostics.keys():
                processes["image_player"] = start(
                    "image_player", f"source:={source}", "loop:=true", "wait:=true", f"rate:={rate}"
                )
            if first_match is None and monitor.records:
                first_match = last_line = now
            if first_match is None and now - started > START_TIMEOUT:
                print(f"demo: no matches arrived within {START_TIMEOUT:g} s; see the log above", file=sys.stderr)
                return 1
            for name, process in processes.items():
                if process.poll() is not None:
                    print(
                        f"demo: {name} has ended with exit code {process.returncode}; see the log above",
                        file=sys.stderr,
                    )
                    return 1
            if first_match is not None and now - last_line >= 1:
                print(live_line(round(now - first_match), monitor.records[shown:]), flush=True)
                shown, last_line = len(monitor.records), last_line + 1
    except (KeyboardInterrupt, ExternalShutdownException):
        print("stopped", file=sys.stderr)
    finally:
        monitor.close()
        stop(*processes.values())
        rclpy.try_shutdown()

    if len(monitor.records) < 2:
        print("demo: fewer than two frames were processed", file=sys.stderr)
        return 1
    table = summary(monitor, output)
    width = max(len(name) for name, _ in table)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in table))
    if (slow := slow_line(monitor, stereo)) is not None:
        print(f"\n{slow}")
    files = "overlay.mp4, overlay.png, frames.csv, odometry.txt"
    drawn = ", trajectory.png" if (output / "trajectory.png").exists() else ""
    print(f"\npictures and numbers are in {output}/: {files}{drawn}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sequence",
        default="flight",
        help="flight, a camera index, a folder of images or stereo pairs, a video file, or a recording (%(default)s)",
    )
    parser.add_argument("--model", default="", help="ONNX file of the network (the shipped one)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to run once matches arrive (%(default)s)")
    parser.add_argument("--rate", type=float, default=0.0, help="images per second (the source's own)")
    parser.add_argument(
        "--disparity-offset", type=float, default=0.0, help="pixels to add to disparities of a badly rectified pair"
    )
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for the results (%(default)s)")
    parser.add_argument("--domain", type=int, help="ROS_DOMAIN_ID to run on (a random one)")
    options = parser.parse_args(arguments)
    return run(
        options.sequence,
        options.model,
        options.seconds,
        options.output,
        options.domain,
        options.rate,
        options.disparity_offset,
    )


if __name__ == "__main__":
    sys.exit(main())
