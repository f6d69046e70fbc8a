"""The odometry of the demo in one line: its drift, or the one cause for which there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...odometry.estimate import START_MATCHES, START_PARALLAX
from ...words import counted
from .monitor import FRONT_END, ODOMETRY_NODE, DemoMonitor
from .trajectory import Comparison, compare, draw_trajectories

LOST = 0.1  # share of images with too few matches above which the tracks are lost too often


def odometry_line(monitor: DemoMonitor, folder: Path) -> str:
    """The drift if true poses are known, with a picture of both paths in a folder; without a pose, the cause."""
    if not monitor.odometry:
        return f"no pose: {cause(monitor)}"
    values = monitor.diagnostics.get(ODOMETRY_NODE, {})
    counts = f"{counted(len(monitor.odometry), 'pose')}, {values.get('failures', '?')} of them guessed"
    comparison = compare(monitor.odometry, monitor.true_poses, metric=values.get("mode") == "stereo")
    if comparison is None:
        known = "no three poses with true ones" if monitor.true_poses else "the source has no true poses"
        return f"{counts}; drift unknown: {known}"
    draw_trajectories(comparison, folder / "trajectory.png")
    return f"{drift_text(comparison)}; {counts}"


def drift_text(comparison: Comparison) -> str:
    """The drift with its definition."""
    scale = "" if comparison.metric else ", after aligning the scale"
    meaning = f"end position error in % of the path's {comparison.length:.2f} m{scale}"
    return f"drift {comparison.drift:.1f} % ({meaning})"


def cause(monitor: DemoMonitor) -> str:
    """Why there is no pose, with the remedy: the first cause that applies."""
    values = monitor.diagnostics.get(ODOMETRY_NODE, {})
    if not monitor.calibrated:
        if monitor.stereo:
            return "the source has no calibration: put a calib.txt with the rows P0 and P1 beside the folders"
        return "the source has no calibration: give --camera fx,fy,cx,cy or a calibration file"
    for counter in ("rejected_camera_info", "frames_of_another_size", "rejected_clouds", "frames_without_camera_info"):
        if int(values.get(counter, "0")):
            return values.get("last_error", "") or f"{counter} is {values[counter]}"
    if monitor.stereo:
        return monitor.diagnostics.get(FRONT_END, {}).get("last_error", "") or "no pair was processed"
    return _mono_cause(monitor)


def _mono_cause(monitor: DemoMonitor) -> str:
    """Why one camera with a calibration has no pose."""
    paired = monitor.records[1:]  # the first frame has nothing to match
    lost = sum(record.matches < START_MATCHES for record in paired)
    if lost > LOST * len(paired):
        few = f"{lost} of {counted(len(paired), 'image')} have fewer than {START_MATCHES} matches with the one before"
        return f"tracks are lost, as {few}: give images that overlap more, or of more texture"
    moved = float(np.nansum([record.motion for record in paired]))
    needed = f"poses start after {START_PARALLAX:.0f} pixels of parallax"
    if moved < START_PARALLAX:
        return f"the camera did not move enough, {moved:.0f} pixels in {counted(len(paired), 'step')}: {needed}"
    return f"the image moved, but without enough parallax, as when the camera only turns: {needed}; move it sideways"
