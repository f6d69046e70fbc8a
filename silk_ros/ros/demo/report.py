"""The lines that the demo prints each second, and its table at the end."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np

from ..front_end.drop_warning import TOO_MANY, advice
from .monitor import EPIPOLAR_THRESHOLD, FRONT_END, ODOMETRY, DemoMonitor, FrameRecord
from .trajectory import compare, draw_trajectories

FILES = ("overlay.mp4", "overlay.png", "frames.csv", "odometry.txt", "trajectory.png")


def live_line(seconds: int, records: list[FrameRecord]) -> str:
    """The line for the frames of the last second."""
    if not records:
        return f"{seconds:3d} s  waiting for matches"
    names = ("latency_ms", "keypoints", "matches")
    latency, keypoints, matches = (np.median([getattr(record, name) for record in records]) for name in names)
    correct = np.nanmedian([record.correct for record in records]) if matches else float("nan")
    found = f"{keypoints:5.0f} keypoints  {matches:5.0f} matches  {correct:6.1%} correct"
    return f"{seconds:3d} s  {len(records):3d} frames/s  latency {latency:6.1f} ms  {found}"


def print_report(monitor: DemoMonitor, output: Path, stereo: bool) -> None:
    """Print the table over all frames that arrived, and draw the trajectory into the folder `output`."""
    table = summary(monitor, output)
    width = max(len(name) for name, _ in table)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in table))
    if (slow := slow_line(monitor, stereo)) is not None:
        print(f"\n{slow}")
    written = ", ".join(name for name in FILES if (output / name).exists())
    print(f"\npictures and numbers are in {output}/: {written}")


def summary(monitor: DemoMonitor, output: Path) -> list[tuple[str, str]]:
    """Names and values of the table, over two frames or more."""
    records = monitor.records
    span = max(record.stamp for record in records) - min(record.stamp for record in records)
    first, last = records[0].stamp, records[-1].stamp
    images = sum(1 for stamp in monitor.image_stamps if first <= stamp <= last)
    latency = np.percentile([record.latency_ms for record in records], [50, 99])
    paired = records[1:]  # the first frame has nothing to match
    matches = [record.matches for record in paired]
    correct = np.average(np.nan_to_num([record.correct for record in paired]), weights=np.maximum(matches, 1))
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


def odometry_line(monitor: DemoMonitor, output: Path) -> str:
    """The drift if true poses are known, with a picture of both paths in the folder `output`."""
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


def slow_line(monitor: DemoMonitor, stereo: bool) -> str | None:
    """Advice if more than a tenth of the images was dropped, otherwise None."""
    value = monitor.diagnostics.get(FRONT_END, {}).get
    received, dropped = int(value("received_frames", "0")), int(value("dropped_frames", "0"))
    stamps = np.unique(monitor.image_stamps)
    if monitor.image_size is None or len(stamps) < 2 or dropped <= TOO_MANY * received:
        return None
    rate = 1 / float(np.median(np.diff(stamps)))  # the median ignores images that the monitor missed
    program = shlex.quote(str(Path(sys.executable).with_name("benchmark")))
    return f"{dropped} of {received} images were dropped: {advice(rate, *monitor.image_size, stereo, program)}"
