"""The lines that the demo prints while it runs, and its table at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...command_line import program
from ...words import counted
from ..front_end.drop_warning import TOO_MANY
from .monitor import EPIPOLAR_THRESHOLD, FRONT_END, DemoMonitor, FrameRecord
from .odometry_line import odometry_line
from .options import DemoOptions
from .results import Results
from .wording import hertz, share

CAMERA_RATES = (30, 60, 120)  # Hz, of usual cameras
Table = list[tuple[str, str]]


def live_line(start: str, records: list[FrameRecord]) -> str:
    """The line for the frames since the last one. start: its first words."""
    if not records:
        return f"{start}  waiting for matches"
    names = ("latency_ms", "keypoints", "matches")
    latency, keypoints, matches = (np.median([getattr(record, name) for record in records]) for name in names)
    known = [record.correct for record in records if record.correct == record.correct]
    correct = f"  {np.median(known):6.1%} correct" if known else ""
    return f"{start}  latency {latency:6.1f} ms  {keypoints:5.0f} keypoints  {matches:5.0f} matches{correct}"


def print_report(monitor: DemoMonitor, options: DemoOptions, results: Results) -> None:
    """Print the table over all frames that arrived, and put the files of the run in place.

    Raises OSError, and ValueError, naming the fix, where the results cannot be put in place.
    """
    table = summary(monitor, results.folder)
    width = max(len(name) for name, _ in table)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in table))
    line = dropped_line(monitor) if options.live else rate_line(monitor)
    print(f"\n{line}" if line else "")
    written = results.put_in_place()
    print(f"wrote {', '.join(str(options.output / name) for name in written)}; next: {next_step(monitor, options)}")


def summary(monitor: DemoMonitor, folder: Path) -> Table:
    """Names and values of the table, over two frames or more."""
    records = monitor.records
    latency = np.nanpercentile([record.latency_ms for record in records], [50, 99])
    paired = records[1:]  # the first frame has nothing to match
    matches = [record.matches for record in paired]
    geometry = "true" if monitor.has_ground_truth else "estimated"
    value = monitor.diagnostics.get(FRONT_END, {}).get
    waited = "arrival of the image to that of its matches" if monitor.lock_step else "stamp of the image to its matches"
    return [
        *(_played(monitor) if monitor.lock_step else _live(monitor)),
        ("latency", f"{latency[0]:.1f} ms p50, {latency[1]:.1f} ms p99, from the {waited}"),
        ("keypoints", f"{np.median([record.keypoints for record in records]):.0f} per image"),
        ("matches", f"{np.median(matches):.0f} per image (least {min(matches)})"),
        (
            "correct",
            f"{share(correct_share(paired))} of the matches: within {EPIPOLAR_THRESHOLD} px of the {geometry} "
            "epipolar geometry",
        ),
        ("odometry", odometry_line(monitor, folder)),
        ("backend", f"{value('backend', '?')} on {value('device', '?')}, {value('precision', '?')}"),
        ("precision", value("precision_reason", "") or "as asked for"),
    ]


def correct_share(records: list[FrameRecord]) -> float:
    """Share of correct matches over all frames of which it is known; NaN where it is of none."""
    known = [record for record in records if record.correct == record.correct]
    return float(np.average([r.correct for r in known], weights=[r.matches for r in known])) if known else float("nan")


def _played(monitor: DemoMonitor) -> Table:
    width, height = monitor.image_size or (0, 0)
    what = "stereo pair" if monitor.stereo else "image"
    return [("images", f"{counted(monitor.answers.answered, what)} of {width}x{height}, each played once and answered")]


def _live(monitor: DemoMonitor) -> Table:
    records, stamps = monitor.records, monitor.image_stamps
    first, last = records[0].stamp, records[-1].stamp
    seconds = max(last - first, 1e-9)
    images = sum(1 for stamp in stamps if first <= stamp <= last)
    value = monitor.diagnostics.get(FRONT_END, {}).get
    return [
        ("camera", hertz((images - 1) / seconds)),
        ("processed", hertz((len(records) - 1) / seconds)),
        ("dropped images", f"{value('dropped_frames', '?')} of {value('received_frames', '?')}"),
    ]


def rate_line(monitor: DemoMonitor) -> str:
    """The rate of a live camera that this machine follows, by the time from one answer to the next; empty without."""
    if len(monitor.answered) < 2:
        return ""
    reached = 1 / float(np.median(np.diff(monitor.answered)))
    width, height = monitor.image_size or (0, 0)
    camera = f"a {'stereo ' if monitor.stereo else ''}{width}x{height} camera"
    line = f"this machine follows {camera} at {hertz(reached)}"
    wanted = next((rate for rate in CAMERA_RATES if rate > reached), None)
    return line if wanted is None else f"{line}; '{benchmark_command(monitor, wanted)}' shows how to get there"


def dropped_line(monitor: DemoMonitor) -> str:
    """Why the figures are not representative if more than a tenth of the images was dropped; otherwise empty."""
    value = monitor.diagnostics.get(FRONT_END, {}).get
    received, dropped = int(value("received_frames", "0")), int(value("dropped_frames", "0"))
    stamps = np.unique(monitor.image_stamps)
    if monitor.image_size is None or len(stamps) < 2 or dropped <= TOO_MANY * received:
        return ""
    rate = 1 / float(np.median(np.diff(stamps)))  # the median ignores images that the monitor missed
    return (
        f"these figures are not representative: {dropped} of {received} images were dropped, as this machine does not "
        f"follow {hertz(rate)} at present. Without --live the demo plays each image; "
        f"'{benchmark_command(monitor, rate)}' finds settings for this rate"
    )


def benchmark_command(monitor: DemoMonitor, rate: float) -> str:
    """The command that finds settings for a rate in Hz, as it is started here."""
    width, height = monitor.image_size or (0, 0)
    stereo = ["--stereo"] if monitor.stereo else []
    return program("benchmark", "--rate", f"{max(rate, 0.1):.4g}", "--size", f"{width}x{height}", *stereo)


def next_step(monitor: DemoMonitor, options: DemoOptions) -> str:
    """What to do after the demo."""
    if options.source == "flight":
        return "make demo SEQUENCE=path/to/your/images OPTIONS='--camera fx,fy,cx,cy'"
    if not monitor.calibrated and not monitor.stereo:
        return "give the calibration for odometry: OPTIONS='--camera fx,fy,cx,cy'"
    return f"look at {options.output / 'overlay.mp4'}; README.md, 'On a robot', starts the nodes with a camera"
