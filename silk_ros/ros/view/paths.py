"""The path of the odometry and the true one beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...geometry.trajectory import start_at

MOST_POSES = 1000  # of a path; of a longer one every second pose is left out, again and again

Poses = dict[int, NDArray[np.float64]]  # (4, 4), by stamp


class Paths:
    """Poses (4, 4) by stamp: of the camera in the odometry frame, and in the world of the true poses."""

    def __init__(self) -> None:
        self._estimate: Poses = {}
        self._truth: Poses = {}

    def add_estimate(self, stamp: int, pose: NDArray[np.float64]) -> None:
        self._estimate[stamp] = pose
        if len(self._estimate) > MOST_POSES:
            self._estimate = _thinned(self._estimate)
            self._truth = {at: pose for at, pose in self._truth.items() if at in self._estimate or at > stamp}

    def add_truth(self, stamp: int, pose: NDArray[np.float64]) -> None:
        self._truth[stamp] = pose
        if len(self._truth) > 2 * MOST_POSES:  # the odometry has no poses yet, or none any more
            self._truth = _thinned(self._truth)

    def estimate(self) -> NDArray[np.float64]:
        """Positions (N, 3) of the odometry, the oldest first."""
        return np.array([self._estimate[stamp][:3, 3] for stamp in sorted(self._estimate)]).reshape(-1, 3)

    def truth(self, metric: bool) -> NDArray[np.float64]:
        """True positions (N, 3) at the stamps of the odometry, moved so that both paths start at the same pose.

        metric: whether the odometry is in metres. If not, the true path gets the scale that brings its positions
        closest to those of the odometry. There are none, (0, 3), while one of the two has not moved.
        """
        stamps = sorted(self._estimate.keys() & self._truth.keys())
        estimate, truth = (
            np.array([poses[stamp] for stamp in stamps]).reshape(-1, 4, 4) for poses in (self._estimate, self._truth)
        )
        if len(stamps) < 2 or not all(np.ptp(poses[:, :3, 3], axis=0).any() for poses in (estimate, truth)):
            return np.empty((0, 3))
        return start_at(truth, estimate, free_scale=not metric)[:, :3, 3]


def _thinned(poses: Poses) -> Poses:
    """Every second pose, with the first and the last one."""
    stamps = sorted(poses)
    return {stamp: poses[stamp] for stamp in [*stamps[:-1:2], stamps[-1]]}
