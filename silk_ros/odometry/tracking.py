"""One trajectory from the clouds of the front-end, which may be late, lost, sent twice or of another camera."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .estimate import Estimate
from .image_size import SizeCheck
from .links import Links, links_from_matches
from .mono_odometry import MonoOdometry
from .stereo_odometry import StereoOdometry, StereoPoints, points_from_stereo_matches

MODES = ("auto", "mono", "stereo")
LATEST = 10**9  # nanoseconds that a cloud may be late; an older stamp means that the clock was set back
MOST_WAITING = 10  # clouds of one kind that wait for the other kind of the same stamp


class Tracking:
    """Poses from clouds; an estimator that has to start again continues from the last pose.

    `mode`: the estimator in use, mono or stereo. `late`: number of clouds that came too late to be used.
    """

    def __init__(self, mode: str = "auto", disparity_offset: float = 0.0) -> None:
        """mode: one of MODES. disparity_offset: pixels to add to all disparities; `evaluate odometry` finds it."""
        self._auto = mode == "auto"
        self.mode = "mono" if self._auto else mode
        self.late = 0
        self._size = SizeCheck()
        self._disparity_offset = disparity_offset
        self._camera: Camera | None = None
        self._frame_id: str | None = None
        self._origin = self._pose = np.eye(4)  # of the estimator's first frame, and of the last frame
        self._restarts: list[str] = []
        self._restart("")

    def _restart(self, reason: str) -> None:
        self._mono: MonoOdometry | None = None
        self._stereo: StereoOdometry | None = None
        self._links: dict[int, Links] = {}
        self._points: dict[int, StereoPoints] = {}
        self._stamp = -LATEST  # of the last cloud that was used
        self._origin = self._pose
        if reason:
            self._restarts.append(f"starting again from the last pose: {reason}")

    @property
    def started(self) -> bool:
        """Whether poses are known yet."""
        return self._stereo is not None or (self._mono is not None and self._mono.started)

    def restarts(self) -> list[str]:
        """Reasons why estimators were started again since the last call."""
        restarts, self._restarts = self._restarts, []
        return restarts

    @property
    def doubt(self) -> str:
        """Why the calibration may be that of other images; empty where nothing says so."""
        return self._size.doubt

    def process(
        self, kind: str, stamp: int, points: NDArray[Any], camera: Camera, frame_id: str = ""
    ) -> list[Estimate]:
        """The new poses after a cloud, from none to many.

        kind:   "matches" or "stereo", for ~/matches or ~/stereo_matches.
        stamp:  of the images, nanoseconds. points: the cloud's, a structured array. camera: the (left) camera.
        frame_id: of the camera. Another one starts again.

        Raises ValueError for clouds with other fields, and OtherSize for matches outside of the camera's images.
        """
        if frame_id != self._frame_id:
            if self._frame_id is not None:
                self._restart(f"matches come from {frame_id[:40]!r} and no more from {self._frame_id[:40]!r}")
            self._frame_id = frame_id
        if kind == "stereo" and self.mode == "mono":
            if not self._auto:
                return []
            self._restart("stereo matches have arrived: motion is in metres from now on")
            self.mode = "stereo"
        if self._camera is not None and not camera.same_intrinsics(self._camera):
            self._restart("the camera has changed")
        self._camera = camera
        if kind == "matches":
            self._size.check(points, camera)
        if stamp <= self._stamp:
            if stamp > self._stamp - LATEST:
                self.late += 1
                return []
            self._restart(f"stamps went back by {(self._stamp - stamp) / 1e9:.3f} s")
        if self.mode == "stereo":
            found = self._process_stereo(kind, stamp, points, camera)
        else:
            links = links_from_matches(stamp, points, camera)
            self._stamp = stamp
            self._mono = self._mono or MonoOdometry(float(camera.matrix[0, 0]))
            found = self._mono.process(links)
        placed = [replace(estimate, pose=self._origin @ estimate.pose) for estimate in found]
        if placed:
            self._pose = placed[-1].pose
        return placed

    def _process_stereo(self, kind: str, stamp: int, points: NDArray[Any], camera: Camera) -> list[Estimate]:
        """Estimates once both clouds of a stamp are there."""
        if kind == "matches":
            self._links[stamp] = links_from_matches(stamp, points, camera)
        else:
            self._points[stamp] = points_from_stereo_matches(stamp, points)
        if stamp not in self._links or stamp not in self._points:
            for waiting in (self._links, self._points):
                if len(waiting) > MOST_WAITING:
                    del waiting[min(waiting)]
            return []
        links, stereo_points, self._stamp = self._links[stamp], self._points[stamp], stamp
        self._links = {other: waiting for other, waiting in self._links.items() if other > stamp}
        self._points = {other: waiting for other, waiting in self._points.items() if other > stamp}
        self._stereo = self._stereo or StereoOdometry(camera.matrix, self._disparity_offset)
        return [self._stereo.process(links, stereo_points)]
