"""One trajectory from the clouds of the front-end, which may be late, lost, sent twice or of another camera."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from ..geometry.motion import transform
from .estimate import Estimate
from .image_size import SizeCheck
from .observations import NO_TRACKS, Floats, SeenTracks, Tracks, observations_of, stereo_observations
from .visual_odometry import VisualOdometry

LATEST = 10**9  # nanoseconds that a cloud may be late; an older stamp means that the clock was set back
MOST_WAITING = 10  # clouds of one kind that wait for the other kind of the same stamp
STEREO_MISSING = 5  # frames without stereo matches after which auto goes on without


class Tracking:
    """Poses from clouds; an estimator that has to start again continues from the last pose.

    `mode`: the estimator in use, mono or stereo. `late`: number of clouds that came too late to be used.
    """

    def __init__(self, mode: str = "auto", disparity_offset: float = 0.0) -> None:
        """mode: one of `MODES`. disparity_offset: pixels that `evaluate odometry` finds, added to disparities."""
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
        self._odometry: VisualOdometry | None = None
        self._seen: dict[int, tuple[SeenTracks, SeenTracks]] = {}  # in the frame and the one before, that wait
        self._unused = self._seen  # of the last frame, where it gave no pose
        self._stereo: dict[int, SeenTracks] = {}  # that wait
        self._features: dict[int, NDArray[Any]] = {}
        self._stamp = -LATEST  # of the last frame
        self._origin = self._pose
        if reason:
            self._restarts.append(f"starting again from the last pose: {reason}")

    @property
    def started(self) -> bool:
        """Whether poses are known yet."""
        return self._odometry is not None and self._odometry.started

    @property
    def keyframe(self) -> int | None:
        """Stamp of the newest keyframe; None where there is none."""
        window = self._odometry.window if self._odometry is not None else None
        return window.newest.seen.stamp if window is not None else None

    def keyframes(self) -> Floats:
        """Poses (K, 4, 4) of the keyframes in the odometry frame, the newest last."""
        window = self._odometry.window if self._odometry is not None else None
        poses = [self._origin @ frame.pose for frame in window.keyframes.values()] if window is not None else []
        return np.array(poses).reshape(-1, 4, 4)

    def landmarks(self) -> tuple[Tracks, Floats]:
        """Tracks (L,) of the landmarks, and their points (L, 3) in the odometry frame."""
        window = self._odometry.window if self._odometry is not None else None
        if window is None:
            return NO_TRACKS, np.empty((0, 3))
        return window.tracks, transform(self._origin, window.points)

    def restarts(self) -> list[str]:
        """Reasons why estimators were started again since the last call."""
        restarts, self._restarts = self._restarts, []
        return restarts

    @property
    def doubt(self) -> str:
        """Why the calibration may be that of other images; empty where nothing says so."""
        return self._size.doubt

    def take_features(self, stamp: int, features: NDArray[Any], frame_id: str = "") -> None:
        """Keep a cloud of ~/features, a structured array, for the matches of the same stamp (nanoseconds) to come.

        Their descriptors help to find landmarks again after a loss.
        """
        if frame_id == self._frame_id:
            self._features[stamp] = features
            _keep_newest(self._features)

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
        if kind == "stereo" and self.mode == "mono" and not self._auto:
            return []
        late = self._stamp - stamp  # nanoseconds
        if kind == "stereo" and self.mode == "mono" and not 0 < late < LATEST:
            unused = self._unused
            self._restart("stereo matches have arrived: motion is in metres from now on")
            self.mode, self._seen = "stereo", unused
        if self._camera is not None and not camera.same_intrinsics(self._camera):
            self._restart("the camera has changed")
        self._camera = camera
        if kind == "matches":
            self._size.check(points, camera)
        if stamp <= self._stamp:
            if late < LATEST:
                self.late += 1
                return []
            self._restart(f"stamps went back by {late / 1e9:.3f} s")
        if kind == "matches":
            self._seen[stamp] = observations_of(stamp, points, camera)
        else:
            self._stereo[stamp] = stereo_observations(stamp, points, camera, self._disparity_offset)
        return [estimate for ready in self._ready() for estimate in self._estimates(ready, camera)]

    def _ready(self) -> list[int]:
        """Stamps of the frames that need not wait any longer, in order: those up to one that has both clouds."""
        if self._auto and self.mode == "stereo" and len(self._seen) > STEREO_MISSING and not self._stereo:
            self.mode = "mono"
        last = max(self._seen.keys() if self.mode == "mono" else self._seen.keys() & self._stereo.keys(), default=0)
        for waiting in (self._seen, self._stereo):
            _keep_newest(waiting)
        return sorted(stamp for stamp in self._seen if stamp <= last)

    def _estimates(self, stamp: int, camera: Camera) -> list[Estimate]:
        """The new poses after a frame that waits."""
        now, before = self._seen.pop(stamp)
        if stamp in self._stereo:
            now = now.with_stereo(self._stereo[stamp])
        self._stereo = {other: waiting for other, waiting in self._stereo.items() if other > stamp}
        self._stamp = stamp
        self._odometry = self._odometry or VisualOdometry(float(camera.matrix[0, 0]))
        self._odometry.stereo = self.mode == "stereo"
        found = self._odometry.process(now, before, self._features.get(stamp))
        self._unused = {} if found else {stamp: (now, before)}
        placed = [replace(estimate, pose=self._origin @ estimate.pose) for estimate in found]
        if placed:
            self._pose = placed[-1].pose
        return placed


def _keep_newest(waiting: dict[int, Any]) -> None:
    for stamp in sorted(waiting)[:-MOST_WAITING]:
        del waiting[stamp]
