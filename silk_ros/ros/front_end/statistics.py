"""What the node knows about itself, counted in any thread, published on /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from .drop_watch import Counts

WINDOW = 5.0  # seconds that rates and percentiles are taken over
USUAL_OVER = 30  # images that the usual interval is taken over
GAP = 1.5  # times the usual interval


class _Processed(NamedTuple):
    """One frame that is out; times in seconds."""

    finished: float
    latency: float
    processing: float
    front_end: float
    keypoints: int
    matches: int
    inliers: float


class Statistics:
    """Counters since the start, and the recent frames. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._listening = time.monotonic()
        self._received: deque[float] = deque(maxlen=10_000)
        self._last_stamp = 0
        self._intervals: deque[int] = deque(maxlen=USUAL_OVER)  # nanoseconds between the stamps of images
        self._processed: deque[_Processed] = deque(maxlen=10_000)
        self._last_error = ""
        self._last_error_time = -np.inf

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter, such as `dropped_frames`."""
        with self._lock:
            self._counts[name] += by

    def error(self, name: str, reason: str) -> None:
        """Add one to a counter of rejected input, and remember why."""
        with self._lock:
            self._counts[name] += 1
            self._last_error, self._last_error_time = reason, time.monotonic()

    def images(self) -> Counts:
        """How many were received and dropped."""
        with self._lock:
            return Counts(self._counts["received_frames"], self._counts["dropped_frames"])

    def listening(self) -> None:
        """Images are expected from now on."""
        with self._lock:
            self._listening = time.monotonic()

    def received(self, stamp: int | None) -> None:
        """An image with a stamp in nanoseconds has come; None for an unusable one.

        A gap is where more than half an image's time is missing.
        """
        with self._lock:
            self._counts["received_frames"] += 1
            self._received.append(time.monotonic())
            if stamp is None:
                return
            interval, self._last_stamp = stamp - self._last_stamp, stamp
            if interval <= 0 or interval == stamp:  # the first
                return
            if self._intervals and interval > GAP * np.median(self._intervals):
                self._counts["gaps"] += 1
            self._intervals.append(interval)

    def processed(
        self,
        latency: float | None,
        processing: float,
        front_end: float,
        keypoints: int,
        matches: int,
        inliers: float = np.nan,
    ) -> None:
        """One frame is out. Seconds: `latency` since the image's stamp (None if the stamp tells nothing), `processing`
        since the worker took it, of which `front_end` went into extraction and matching. inliers: share of the matches
        that agree with the geometry, NaN where nothing was verified."""
        with self._lock:
            self._counts["processed_frames"] += 1
            latency = np.nan if latency is None else latency
            self._processed.append(
                _Processed(time.monotonic(), latency, processing, front_end, keypoints, matches, inliers)
            )

    def seconds_since_image(self) -> float:
        """Seconds since the last image, or since images are expected if that was later."""
        with self._lock:
            return time.monotonic() - max(self._listening, self._received[-1] if self._received else 0.0)

    def snapshot(self) -> dict[str, str]:
        """All values by name, as text."""
        now = time.monotonic()
        with self._lock:
            counts = Counter(self._counts)
            received = sum(1 for arrival in self._received if now - arrival < WINDOW)
            frames = [frame for frame in self._processed if now - frame.finished < WINDOW]
            last_error = self._last_error
        recent: Any = _Processed(*np.array(frames).reshape(-1, len(_Processed._fields)).T)
        latency = recent.latency[np.isfinite(recent.latency)]
        inliers = recent.inliers[np.isfinite(recent.inliers)]
        values = {
            "input_rate_hz": f"{received / WINDOW:.1f}",
            "rate_hz": f"{len(frames) / WINDOW:.1f}",
            "latency_p50_ms": _milliseconds(latency, 50),
            "latency_p99_ms": _milliseconds(latency, 99),
            "frame_age_ms": f"{1e3 * (latency[-1] + now - recent.finished[-1]):.0f}" if len(latency) else "nan",
            "processing_p50_ms": _milliseconds(recent.processing, 50),
            "front_end_p50_ms": _milliseconds(recent.front_end, 50),
            "keypoints": f"{np.median(recent.keypoints):.0f}" if len(frames) else "0",
            "matches": f"{np.median(recent.matches):.0f}" if len(frames) else "0",
            "inlier_ratio": f"{np.median(inliers):.2f}" if len(inliers) else "nan",
        }
        for name in (
            "received_frames",
            "processed_frames",
            "dropped_frames",
            "rejected_images",
            "rejected_camera_info",
            "ignored_frames",
            "failed_frames",
            "zero_stamps",
            "frames_without_rays",
            "frames_without_stereo",
            "frames_without_points",
            "frames_without_mask",
            "rejected_masks",
            "unpaired_images",
            "gaps",
            "restarts",
            "clock_jumps",
        ):
            values[name] = str(counts[name])
        values["last_error"] = last_error
        return values

    def recent_error(self) -> str:
        """The last reason for rejecting input, if it is younger than the window."""
        with self._lock:
            return self._last_error if time.monotonic() - self._last_error_time < WINDOW else ""


def _milliseconds(seconds: np.ndarray, percentile: int) -> str:
    return f"{1e3 * np.percentile(seconds, percentile):.1f}" if len(seconds) else "nan"


def diagnostics_message(
    stamp: Time, name: str, statistics: Statistics, pause: str, timeout: float, fixed: dict[str, str]
) -> DiagnosticArray:
    """The DiagnosticArray of one node.

    pause: why no images are expected; empty when they are. fixed: values that seldom change, such as the backend.
    """
    level, summary = DiagnosticStatus.OK, "running"
    if pause:
        summary = pause
    elif statistics.seconds_since_image() > timeout:
        level, summary = DiagnosticStatus.STALE, f"no image for more than {timeout:g} s"
    elif reason := statistics.recent_error():
        level, summary = DiagnosticStatus.WARN, reason
    values = statistics.snapshot() | fixed
    status = DiagnosticStatus(
        level=level,
        name=name,
        message=summary,
        hardware_id=fixed.get("device", ""),
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    return DiagnosticArray(header=Header(stamp=stamp), status=[status])
