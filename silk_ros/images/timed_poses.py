"""Poses at moments between those of a recorded trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_GAP = 150_000_000  # nanoseconds between two poses, above which nothing is known between them
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TimedPoses:
    """A trajectory: stamps (N,) int64 in nanoseconds, positions (N, 3) in metres, quaternions (N, 4) as x, y, z, w."""

    stamps: NDArray[np.int64]
    positions: Matrix
    quaternions: Matrix

    @classmethod
    def of(cls, stamps: ArrayLike, positions: ArrayLike, quaternions: ArrayLike) -> TimedPoses:
        """The trajectory of rows in any order. Raises ValueError, naming the fix, for values that are no poses."""
        times, places = np.asarray(stamps, np.int64), np.asarray(positions, np.float64).reshape(-1, 3)
        rotations = np.asarray(quaternions, np.float64).reshape(-1, 4)
        lengths = np.linalg.norm(rotations, axis=1, keepdims=True)
        if not np.isfinite(places).all() or not (np.abs(lengths - 1) < 0.01).all():
            raise ValueError("a pose is no position in metres with a quaternion of length 1: remove its row")
        order = np.argsort(times, kind="stable")
        return cls(times[order], places[order], (rotations / lengths)[order])

    def at(self, stamp: int) -> Matrix | None:
        """The pose (4, 4) at a moment, between its neighbours; None where they are more than MAX_GAP apart."""
        after = int(np.searchsorted(self.stamps, stamp))
        if after < len(self.stamps) and self.stamps[after] == stamp:
            return _pose(self.positions[after], self.quaternions[after])
        if not 0 < after < len(self.stamps) or self.stamps[after] - self.stamps[after - 1] > MAX_GAP:
            return None
        start, end = self.stamps[after - 1 : after + 1].tolist()
        share = (stamp - start) / (end - start)
        first, second = self.quaternions[after - 1 : after + 1]
        second = second if first @ second >= 0 else -second  # both are the same rotation
        position = (1 - share) * self.positions[after - 1] + share * self.positions[after]
        return _pose(position, (1 - share) * first + share * second)


def _pose(position: Matrix, quaternion: Matrix) -> Matrix:
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = position
    return pose
