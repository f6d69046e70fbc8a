"""Counters, rates and latencies of the front-end node, taken in any thread and published on /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import deque
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from ..node.diagnostics import Counters

WINDOW = 5.0  # seconds that rates and percentiles are taken over
USUAL_OVER = 30  # images that the usual interval is taken over
GAP = 1.5  # times the usual interval, above which images are missing


class ProcessedFrame(NamedTuple):
    """A published frame; times in seconds.

    latency:    since the image's stamp; NaN where the stamp tells nothing.
    processing: since the worker took the image.
    front_end:  the part of it that extraction and matching took, of both images of a pair.
    inliers:    share of the matches that agree with the geometry; NaN where nothing was verified.
    refined:    share of the matches that could be refined; NaN without a refinement.
    """

    latency: float
    processing: float
    front_end: float
    keypoints: int
    matches: int
    inliers: float = np.nan
    refined: float = np.nan


class FrontEndCount(Enum):
    """Counters of the node, by their keys on /diagnostics; docs/messages.md explains each."""

    RECEIVED_FRAMES = "received_frames"
    PROCESSED_FRAMES = "processed_frames"
    DROPPED_FRAMES = "dropped_frames"
    REJECTED_IMAGES = "rejected_images"
    REJECTED_CAMERA_INFO = "rejected_camera_info"
    IGNORED_FRAMES = "ignored_frames"
    FAILED_FRAMES = "failed_frames"
    ZERO_STAMPS = "zero_stamps"
    FRAMES_WITHOUT_RAYS = "frames_without_rays"
    FRAMES_WITHOUT_STEREO = "frames_without_stereo"
    FRAMES_WITHOUT_POINTS = "frames_without_points"
    FRAMES_WITHOUT_MASK = "frames_without_mask"
    REJECTED_MASKS = "rejected_masks"
    UNPAIRED_IMAGES = "unpaired_images"
    GAPS = "gaps"
    RESTARTS = "restarts"
    CLOCK_JUMPS = "clock_jumps"
    CAMERA_CHANGES = "camera_changes"
    FRAMES_OF_FURTHER_CAMERAS = "frames_of_further_cameras"


class Statistics:
    """Counters since the start, and the recent frames; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters = Counters(FrontEndCount)
        self._listening = time.monotonic()
        self._received: deque[float] = deque(maxlen=10_000)
        self._last_stamp = 0
        self._intervals: deque[int] = deque(maxlen=USUAL_OVER)  # nanoseconds between the stamps of images
        self._processed: deque[tuple[float, ProcessedFrame]] = deque(maxlen=10_000)  # and when
        self._last_error = ""
        self._last_error_time = -np.inf
        self.cameras = ""  # that sent images lately
        self.stream_problem = ""  # why these are not what one node needs

    def count(self, what: FrontEndCount, by: int = 1) -> None:
        """Add to a counter."""
        self._counters.add(what, by)

    def error(self, what: FrontEndCount, reason: str) -> None:
        """Add one to a counter of input that cannot be used, and remember why."""
        self._counters.add(what)
        with self._lock:
            self._last_error, self._last_error_time = reason, time.monotonic()

    def images(self) -> tuple[int, int]:
        """The numbers of received and of dropped images."""
        return self._counters[FrontEndCount.RECEIVED_FRAMES], self._counters[FrontEndCount.DROPPED_FRAMES]

    def listening(self) -> None:
        """Note that images are expected from now on."""
        with self._lock:
            self._listening = time.monotonic()

    def received(self, stamp: int | None) -> None:
        """Note that an image with a stamp in nanoseconds has come; None for an unusable stamp."""
        self._counters.add(FrontEndCount.RECEIVED_FRAMES)
        with self._lock:
            self._received.append(time.monotonic())
            if stamp is None:
                return
            interval, self._last_stamp = stamp - self._last_stamp, stamp
            if interval <= 0 or interval == stamp:  # the first image
                return
            if self._intervals and interval > GAP * np.median(self._intervals):
                self._counters.add(FrontEndCount.GAPS)
            self._intervals.append(interval)

    def processed(self, frame: ProcessedFrame) -> None:
        """Note that one frame is published."""
        self._counters.add(FrontEndCount.PROCESSED_FRAMES)
        with self._lock:
            self._processed.append((time.monotonic(), frame))

    def seconds_since_image(self) -> float:
        """Seconds since the last image, or since images are expected if that was later."""
        with self._lock:
            return time.monotonic() - max(self._listening, self._received[-1] if self._received else 0.0)

    def snapshot(self) -> dict[str, str]:
        """All values by their keys on /diagnostics, as text."""
        now = time.monotonic()
        with self._lock:
            received = sum(1 for arrival in self._received if now - arrival < WINDOW)
            frames = [(finished, *frame) for finished, frame in self._processed if now - finished < WINDOW]
        finished, *values = np.array(frames).reshape(-1, 1 + len(ProcessedFrame._fields)).T
        recent: Any = ProcessedFrame(*values)
        latency = recent.latency[np.isfinite(recent.latency)]
        return {
            "input_rate_hz": f"{received / WINDOW:.1f}",
            "rate_hz": f"{len(frames) / WINDOW:.1f}",
            "latency_p50_ms": f"{1e3 * _percentile(latency):.1f}",
            "latency_p99_ms": f"{1e3 * _percentile(latency, 99):.1f}",
            "frame_age_ms": f"{1e3 * (latency[-1] + now - finished[-1]):.0f}" if len(latency) else "nan",
            "processing_p50_ms": f"{1e3 * _percentile(recent.processing):.1f}",
            "front_end_p50_ms": f"{1e3 * _percentile(recent.front_end):.1f}",
            "keypoints": f"{_percentile(recent.keypoints, empty=0):.0f}",
            "matches": f"{_percentile(recent.matches, empty=0):.0f}",
            "refined_ratio": f"{_percentile(recent.refined[np.isfinite(recent.refined)]):.2f}",
            "inlier_ratio": f"{_percentile(recent.inliers[np.isfinite(recent.inliers)]):.2f}",
            "cameras": self.cameras,
            **self._counters.values(),
            "last_error": self._last_error,
        }

    def status(self, pause: str, timeout: float) -> tuple[bytes, str]:
        """Level and summary of the node's diagnostics.

        pause: why no images are expected; empty where they are. timeout: seconds without an image until it is stale.
        """
        if pause:
            return DiagnosticStatus.OK, pause
        if self.seconds_since_image() > timeout:
            return DiagnosticStatus.STALE, f"no image for more than {timeout:g} s"
        if self.stream_problem:
            return DiagnosticStatus.WARN, self.stream_problem
        with self._lock:
            if self._last_error and time.monotonic() - self._last_error_time < WINDOW:
                return DiagnosticStatus.WARN, self._last_error
        return DiagnosticStatus.OK, "running"


def _percentile(values: np.ndarray, percentile: int = 50, empty: float = np.nan) -> float:
    return float(np.percentile(values, percentile)) if len(values) else empty
