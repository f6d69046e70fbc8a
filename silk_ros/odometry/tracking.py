"""One trajectory out of whatever clouds come: stereo or mono, late, lost, twice, after a reset, by another camera."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .mono import MonoOdometry
from .stereo import StereoOdometry, StereoPoints, points_from_stereo_matches
from .types import Estimate, Links, links_from_matches

MODES = ("auto", "mono", "stereo")
LATEST = 10**9  # nanoseconds that a cloud may be late; with an older stamp, the clock was set back
MOST_WAITING = 10  # clouds without their counterpart


class Tracking:
    """Turns clouds into poses; where an estimator has to start afresh, it goes on from the last pose.

    `mode`: what is estimated now, mono or stereo. `late`: clouds that came too late to be used.
    """

    def __init__(self, mode: str = "auto", disparity_offset: float = 0.0) -> None:
        """disparity_offset: pixels to add to all disparities, see `silk_ros.evaluation.tasks.disparity`."""
        self._auto = mode == "auto"
        self.mode = "mono" if self._auto else mode
        self.late = 0
        self._disparity_offset = disparity_offset
        self._camera: Camera | None = None
        self._origin = self._pose = np.eye(4)  # of the estimator's first frame, and the last
        self._news: list[str] = []
        self._mono: MonoOdometry | None
        self._stereo: StereoOdometry | None
        self._restart("")

    @property
    def started(self) -> bool:
        """Whether poses are known yet."""
        return self._stereo is not None or (self._mono is not None and self._mono.started)

    def news(self) -> list[str]:
        """Why estimators were started afresh since the last call."""
        news, self._news = self._news, []
        return news

    def process(self, kind: str, stamp: int, points: NDArray[Any], camera: Camera) -> list[Estimate]:
        """The poses that a cloud makes known, from none to many.

        kind:   "matches" or "stereo", for ~/matches or ~/stereo_matches.
        stamp:  of the images, nanoseconds. points: the cloud's, a structured array. camera: the (left) camera.

        Raises ValueError for clouds with other fields.
        """
        if kind == "stereo" and self.mode == "mono":
            if not self._auto:
                return []
            self._restart("stereo matches have come: motion is in metres from here")
            self.mode = "stereo"
        if self._camera is not None and not _same(camera, self._camera):
            self._restart("the camera has changed")
        self._camera = camera
        if stamp <= self._stamp:
            if stamp > self._stamp - LATEST:
                self.late += 1
                return []
            self._restart(f"stamps went back by {(self._stamp - stamp) / 1e9:.3f} s")
        estimate = self._pair if self.mode == "stereo" else self._follow
        found = estimate(kind, stamp, points, camera)
        placed = [replace(estimate, pose=self._origin @ estimate.pose) for estimate in found]
        if placed:
            self._pose = placed[-1].pose
        return placed

    def _follow(self, _: str, stamp: int, points: NDArray[Any], camera: Camera) -> list[Estimate]:
        links = links_from_matches(stamp, points, camera)
        self._stamp = stamp
        if self._mono is None:
            self._mono = MonoOdometry(float(camera.matrix[0, 0]))
        return self._mono.process(links)

    def _pair(self, kind: str, stamp: int, points: NDArray[Any], camera: Camera) -> list[Estimate]:
        if kind == "matches":
            self._links[stamp] = links_from_matches(stamp, points, camera)
        else:
            self._points[stamp] = points_from_stereo_matches(stamp, points)
        if stamp in self._links and stamp in self._points:
            links, stereo_points = self._links[stamp], self._points[stamp]
            self._stamp = stamp
            for waiting in (self._links, self._points):
                for old in [other for other in waiting if other <= stamp]:
                    del waiting[old]
            if self._stereo is None:
                self._stereo = StereoOdometry(camera.matrix, self._disparity_offset)
            return [self._stereo.process(links, stereo_points)]
        for waiting in (self._links, self._points):
            if len(waiting) > MOST_WAITING:
                del waiting[min(waiting)]
        return []

    def _restart(self, reason: str) -> None:
        self._mono = None
        self._stereo = None
        self._links: dict[int, Links] = {}
        self._points: dict[int, StereoPoints] = {}
        self._stamp = -LATEST  # of the last cloud that was used
        self._origin = self._pose
        if reason:
            self._news.append(f"starting afresh from the last pose: {reason}")


def _same(a: Camera, b: Camera) -> bool:
    return (
        (a.width, a.height, a.model) == (b.width, b.height, b.model)
        and np.array_equal(a.matrix, b.matrix)
        and np.array_equal(a.distortion, b.distortion)
    )
