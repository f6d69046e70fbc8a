"""The last keyframes and what they see, adjusted together by GTSAM's fixed-lag smoother."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .observations import Floats, SeenTracks, Tracks

try:
    import gtsam
    from gtsam.symbol_shorthand import L, X
except ImportError as error:
    raise ImportError(
        "odometry needs GTSAM: pip install 'silk_ros[odometry]'; it needs Python 3.11 or newer"
    ) from error

KEYFRAMES = 8  # keyframes after which one leaves the window; it goes on as a prior of those that saw the same
HUBER = 1.345  # standard deviations from which a residual counts less
RECTIFICATION = 1.0  # pixels, error of disparities that all points of a pair share, from its calibration
# Baselines up to which a disparity counts. What the calibration adds to all disparities bends far depths the most, and
# is the same for all of them: more far points do not make it smaller.
NEAR = 25.0
FIXED = 1e-4  # standard deviation of what sets the origin and the scale
# Standard deviation of a new landmark, in units of its distance. It keeps landmarks determined that lose all of their
# observations to robust weights. GTSAM takes a system for singular where two weights differ by 4096.
LOOSE = 0.5
SETTLE = 10  # steps of the adjustment at the start; one after a keyframe
# Standard deviations beyond which a landmark is given up, and no new one is made. A smaller bound for new ones would
# choose the disparities by the motion that they are to measure.
GONE = 6.0


class AdjustmentError(Exception):
    """The window cannot be adjusted: its observations do not determine it."""


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A frame of the window. pose: (4, 4) camera to odometry frame."""

    seen: SeenTracks
    pose: Floats

    def errors(self, tracks: Tracks, points: Floats, focal_length: float) -> Floats:
        """Distances (N,) of tracks from where points (N, 3) are seen, in standard deviations; 0 for those not seen."""
        rows = self.seen.find(tracks)
        if not len(self.seen):
            return np.zeros(len(tracks))
        error = focal_length * np.linalg.norm(project(self.pose, points) - self.seen.rays[rows], axis=1)
        return np.where(rows >= 0, error / self.seen.noise[rows], 0.0)


class Window:
    """Keyframes by number, and landmarks: tracks (L,), ascending, and points (L, 3) in the odometry frame."""

    def __init__(self, focal_length: float) -> None:
        """focal_length: of the camera, in pixels."""
        self.focal_length = focal_length
        self.keyframes: dict[int, Keyframe] = {}
        self.tracks: Tracks = np.empty(0, np.int64)
        self.points: Floats = np.empty((0, 3))
        self.gone: Tracks = np.empty(0, np.int64)  # tracks that the newest keyframe sees and that do not fit
        self.number = -1  # of the newest keyframe
        self._keys: NDArray[np.int64] = np.empty(0, np.int64)  # (L,) of the landmarks in the graph
        self._next_key = 0
        self._pinhole = gtsam.Cal3_S2(focal_length, focal_length, 0, 0, 0)
        parameters = gtsam.ISAM2Params()
        parameters.setRelinearizeThreshold(0.01)
        parameters.relinearizeSkip = 1
        parameters.findUnusedFactorSlots = True
        self._smoother = gtsam.IncrementalFixedLagSmoother(KEYFRAMES, parameters)

    @property
    def newest(self) -> Keyframe:
        return self.keyframes[self.number]

    def see(self, seen: SeenTracks) -> None:
        """Add to the newest keyframe what the next frame matches in it for the first time."""
        self.keyframes[self.number] = replace(self.newest, seen=self.newest.seen.joined(seen))

    def add(
        self,
        seen: SeenTracks,
        pose: Floats,
        agree: Tracks,
        tracks: Tracks,
        points: Floats,
        distance: float | None = None,
    ) -> None:
        """Add a keyframe and adjust all.

        agree:    (A,) landmarks of the window that the frame sees where its pose expects them.
        tracks:   (N,) tracks that become landmarks, at points (N, 3); with all of their observations in the window.
        distance: from the first keyframe, which sets the scale; None where that is known.

        Raises AdjustmentError.
        """
        self.number += 1
        self.keyframes[self.number] = Keyframe(seen, pose)
        graph, values, times = gtsam.NonlinearFactorGraph(), gtsam.Values(), {X(self.number): float(self.number)}
        values.insert(X(self.number), gtsam.Pose3(pose))
        if self.number == 0 or len(agree) + len(tracks) < 3:
            deviation = gtsam.noiseModel.Isotropic.Sigma(6, FIXED)
            graph.push_back(gtsam.PriorFactorPose3(X(self.number), gtsam.Pose3(pose), deviation))
        if distance is not None:
            deviation = gtsam.noiseModel.Isotropic.Sigma(1, FIXED)
            graph.push_back(gtsam.RangeFactorPose3(X(0), X(self.number), distance, deviation))
        rows = np.searchsorted(self.tracks, agree)
        self._observe(graph, self.number, agree, self._keys[rows])
        times |= dict.fromkeys(map(L, self._keys[rows].tolist()), float(self.number))
        keys = self._next_key + np.arange(len(tracks))
        self._next_key += len(tracks)
        for key, point in zip(keys.tolist(), points):
            loose = gtsam.noiseModel.Isotropic.Sigma(3, LOOSE * float(np.linalg.norm(point - pose[:3, 3])))
            values.insert(L(key), point)
            graph.push_back(gtsam.PriorFactorPoint3(L(key), point, loose))
        times |= dict.fromkeys(map(L, keys.tolist()), float(self.number))
        for number in self.keyframes:
            self._observe(graph, number, tracks, keys)
        order = np.argsort(both := np.concatenate([self.tracks, tracks]))
        self.tracks, self._keys = both[order], np.concatenate([self._keys, keys])[order]
        self._adjust(graph, values, times)

    def _observe(self, graph: Any, number: int, tracks: Tracks, keys: NDArray[np.int64]) -> None:
        """Add the observations of landmarks in a keyframe to the graph."""
        seen, size = self.keyframes[number].seen, self.focal_length
        rows = seen.find(tracks)
        near = seen.disparities > size / NEAR
        baseline = seen.focal_baseline / size
        stereo: Any = gtsam.Cal3_S2Stereo(size, size, 0, 0, 0, baseline) if baseline else None
        for row, key in zip(rows[rows >= 0].tolist(), keys[rows >= 0].tolist()):
            (x, y), noise = size * seen.rays[row], seen.noise[row]
            if near[row]:
                right = float(np.hypot(seen.disparity_noise[row], RECTIFICATION))
                point = gtsam.StereoPoint2(x, x - seen.disparities[row], y)
                graph.push_back(
                    gtsam.GenericStereoFactor3D(point, _robust(noise, right, noise), X(number), L(key), stereo)
                )
            else:
                place = np.array([x, y])
                deviation = _robust(noise, noise)
                graph.push_back(
                    gtsam.GenericProjectionFactorCal3_S2(place, deviation, X(number), L(key), self._pinhole)
                )

    def settle(self) -> None:
        """Adjust until nothing moves any more, for keyframes whose poses were rough. Raises AdjustmentError."""
        self._adjust(steps=SETTLE)

    def _adjust(self, *change: Any, steps: int = 1) -> None:
        """Adjust in some steps, of which the first one takes in a change of the graph. Raises AdjustmentError."""
        try:
            self._smoother.update(*change)
            for _ in range(steps - 1):
                self._smoother.update()
            self._adjusted(self._smoother.calculateEstimate())
        except RuntimeError as error:
            raise AdjustmentError(str(error).strip().splitlines()[0]) from error

    def _adjusted(self, values: Any) -> None:
        """Take over the adjusted poses and points; forget what left the window, and landmarks that do not fit."""
        known = self._smoother.timestamps()
        self.keyframes = {
            number: replace(frame, pose=values.atPose3(X(number)).matrix())
            for number, frame in self.keyframes.items()
            if X(number) in known
        }
        kept = np.array([L(key) in known for key in self._keys.tolist()], bool)
        self.tracks, self._keys = self.tracks[kept], self._keys[kept]
        self.points = np.array([values.atPoint3(L(key)) for key in self._keys.tolist()]).reshape(-1, 3)
        fits = self.newest.errors(self.tracks, self.points, self.focal_length) <= GONE
        gone = np.concatenate([self.gone, self.tracks[~fits]])  # their observations leave with their keyframes
        self.gone = gone[self.newest.seen.find(gone) >= 0]
        self.tracks, self._keys, self.points = self.tracks[fits], self._keys[fits], self.points[fits]

    def covariance(self) -> Floats | None:
        """Covariance (6, 6) of the newest keyframe in its axes: rotation (radians), then position; None if unknown."""
        graph = self._smoother.getFactors().linearize(self._smoother.calculateEstimate())
        try:
            root = graph.marginalMultifrontalBayesNet([X(self.number)]).matrix()[0]
            return np.asarray(np.linalg.inv(root.T @ root))
        except (RuntimeError, np.linalg.LinAlgError):
            return None


def project(pose: Floats, points: Floats) -> Floats:
    """Places (N, 2) at z = 1 of points (N, 3) seen by a camera at a pose; inf behind it."""
    moved = (points - pose[:3, 3]) @ pose[:3, :3]
    ahead = moved[:, 2:] > 1e-6
    return np.where(ahead, moved[:, :2] / np.where(ahead, moved[:, 2:], 1), np.inf)


def _robust(*deviations: float) -> Any:
    noise = gtsam.noiseModel.Diagonal.Sigmas(np.array(deviations))
    return gtsam.noiseModel.Robust.Create(gtsam.noiseModel.mEstimator.Huber.Create(HUBER), noise)
