"""Keyframe of the monocular odometry, and the depths that its new tracks are expected to have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .links import Floats, Links

FIRST_SPREAD = 0.5  # relative standard deviation of an unknown depth
NEIGHBOURS = 5  # tracks whose depths predict that of a new track
LEAST_SPREAD = 0.4  # smallest relative standard deviation of a predicted depth
FINE = 0.2  # largest standard deviation of an inverse depth that predicts others, in units of the median
NO_TRACKS = np.empty(0, np.uint32), np.empty((0, 2)), np.empty(0), np.empty(0)  # before the first matches


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A frame with N tracks.

    stamp: nanoseconds. pose: (4, 4) camera to odometry frame.
    tracks: (N,) ids, ascending. rays: (N, 2) x y at z = 1. mean, variance: (N,) of the inverse depths.
    """

    stamp: int
    pose: Floats
    tracks: NDArray[np.uint32]
    rays: Floats
    mean: Floats
    variance: Floats

    def with_first_matches(self, links: Links, expected: ExpectedDepths) -> Keyframe:
        """The keyframe with its keypoints that the next frame, `links`, matches for the first time."""
        fresh = links.rows(np.flatnonzero(~np.isin(links.tracks, self.tracks)))
        mean, variance = expected.at(fresh.rays_prev)
        tracks, order = np.unique(np.concatenate([self.tracks, fresh.tracks]), return_index=True)
        return Keyframe(
            self.stamp,
            self.pose,
            tracks,
            np.concatenate([self.rays, fresh.rays_prev])[order],
            np.concatenate([self.mean, mean])[order],
            np.concatenate([self.variance, variance])[order],
        )


class ExpectedDepths:
    """Inverse depths of new tracks, predicted by those of their neighbours; 1 before any depth is known."""

    def __init__(self) -> None:
        self._median = 1.0  # of the known inverse depths: the scale
        self._tree: cKDTree | None = None  # rays of the tracks whose depths are certain enough
        self._known = np.empty(0)  # inverse depths of these tracks

    def learn(self, rays: Floats, mean: Floats, variance: Floats) -> None:
        """Take in the depths of a new keyframe: rays (N, 2), inverse depths (N,) and their variances (N,)."""
        good = np.sqrt(variance) < FINE * self._median
        if np.count_nonzero(good) > NEIGHBOURS:
            self._median = float(np.median(mean[good]))
            self._tree, self._known = cKDTree(rays[good]), mean[good]

    def forget_neighbours(self) -> None:
        """Keep only the scale."""
        self._tree = None

    def at(self, rays: Floats) -> tuple[Floats, Floats]:
        """Expected inverse depths (N,) of tracks with rays (N, 2), and their variances (N,)."""
        if self._tree is None:
            return np.full(len(rays), self._median), np.full(len(rays), (FIRST_SPREAD * self._median) ** 2)
        near = self._known[self._tree.query(rays, NEIGHBOURS)[1]]
        mean = np.median(near, axis=1)
        spread = 1.48 * np.median(np.abs(near - mean[:, None]), axis=1)
        return mean, np.maximum(spread, LEAST_SPREAD * mean) ** 2
