"""Tracks of uncertain depth: their keyframe, the motion that they tell, and the depths that the motion tells."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .links import Floats, Links

ITERATIONS = 10
CONVERGED = 1e-5  # size of the last step, in radians and units of depth
CAUCHY = 2.0  # standard deviations at which a residual counts half
NEAREST = 0.05  # smallest depth in the second frame, in units of the depth in the first
MEDIAN_SQUARE = 1.39  # median of the sum of squares of two standard normal values
FIRST_SPREAD = 0.5  # relative standard deviation of an unknown depth
NEIGHBOURS = 5  # tracks whose depths predict that of a new track
LEAST_SPREAD = 0.4  # smallest relative standard deviation of a predicted depth
FINE = 0.2  # largest standard deviation of an inverse depth that predicts others, in units of the median
NO_TRACKS = np.empty(0, np.uint32), np.empty((0, 2)), np.empty(0), np.empty(0)  # before the first matches


@dataclass(frozen=True, eq=False)
class TwoFrameTracks:
    """N tracks that two frames see.

    rays (N, 2): x y at z = 1 in the first frame. mean, variance (N,): of the inverse depths in the first frame.
    seen (N, 2): x y at z = 1 in the second frame; noise: standard deviation of `seen`.
    """

    rays: Floats
    mean: Floats
    variance: Floats
    seen: Floats
    noise: float

    def motion(self, guess: Floats) -> Floats:
        """Motion (4, 4) of points of the first frame into the second, by robust least squares from a first guess.

        A residual is weighted by the inverse of its covariance: the noise, and along the epipolar line also the
        uncertainty of the depth.
        """
        rotation, translation = guess[:3, :3], guess[:3, 3]
        noise = self.noise**2
        if not len(self.mean):
            return guess
        for _ in range(ITERATIONS):
            turned, depths, places, lines = self._project(rotation, translation)
            residuals = places - self.seen
            along, squares = self._squares(residuals, lines)
            excess = max(1.0, float(np.median(squares)) / MEDIAN_SQUARE)  # far from the solution all are large
            weights = 1 / (1 + squares / (excess * CAUCHY**2)) / noise

            x, y, z = turned.T
            moved = np.zeros((len(x), 3, 6))  # derivatives by a rotation vector and a translation
            moved[:, 0, 1], moved[:, 0, 2] = z, -y
            moved[:, 1, 0], moved[:, 1, 2] = -z, x
            moved[:, 2, 0], moved[:, 2, 1] = y, -x
            moved[:, [0, 1, 2], [3, 4, 5]] = self.mean[:, None]
            jacobian = (moved[:, :2] - places[:, :, None] * moved[:, 2:]) / depths[:, None, None]
            across = jacobian - (along[:, None] * lines)[:, :, None] * np.einsum("ni,nij->nj", lines, jacobian)[:, None]
            weighted = (weights[:, None, None] * across).reshape(-1, 6)
            hessian = weighted.T @ jacobian.reshape(-1, 6)
            step = -np.linalg.solve(hessian + 1e-6 * np.eye(6), weighted.T @ residuals.ravel())
            rotation = cv2.Rodrigues(step[:3])[0] @ rotation
            translation = translation + step[3:]
            if np.abs(step).max() < CONVERGED:
                break
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = rotation, translation
        return motion

    def errors(self, motion: Floats) -> Floats:
        """Distances (N,) between the tracks and their predicted places, in standard deviations."""
        _, _, places, lines = self._project(motion[:3, :3], motion[:3, 3])
        return np.sqrt(np.maximum(self._squares(places - self.seen, lines)[1], 0))

    def parallax(self, motion: Floats) -> float:
        """Median distance by which the translation moves the tracks, in units of the rays."""
        lines = self._project(motion[:3, :3], motion[:3, 3])[3]
        return float(np.median(np.linalg.norm(lines, axis=1) * self.mean)) if len(lines) else 0.0

    def update(self, motion: Floats) -> tuple[Floats, Floats]:
        """Means and variances (N,) of the inverse depths in the second frame; NaN for points behind the camera.

        One step of an extended Kalman filter.
        """
        turned, _, places, lines = self._project(motion[:3, :3], motion[:3, 3])
        noise = self.noise**2
        variance = 1 / (1 / self.variance + (lines**2).sum(axis=1) / noise)
        mean = self.mean - variance * (lines * (places - self.seen)).sum(axis=1) / noise
        depths = turned[:, 2] + mean * motion[2, 3]
        depths = np.where((depths > NEAREST) & (mean > 0), depths, np.nan)
        return mean / depths, variance * (turned[:, 2] / depths**2) ** 2

    def _squares(self, residuals: Floats, lines: Floats) -> tuple[Floats, Floats]:
        """Weights (N,) of the uncertain direction, and squares (N,) of the residuals in standard deviations."""
        along = self.variance / (self.noise**2 + self.variance * (lines**2).sum(axis=1))
        squares = (residuals**2).sum(axis=1) - along * (lines * residuals).sum(axis=1) ** 2
        return along, squares / self.noise**2

    def _project(self, rotation: Floats, translation: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Rotated rays (N, 3), depths (N,) of the moved points in units of the first depth, their places (N, 2) in the
        second frame, and the derivatives (N, 2) of the places by the inverse depth."""
        turned = np.column_stack([self.rays, np.ones(len(self.rays))]) @ rotation.T
        moved = turned + self.mean[:, None] * translation
        depths = np.maximum(moved[:, 2], NEAREST)
        places = moved[:, :2] / depths[:, None]
        return turned, depths, places, (translation[:2] - places * translation[2]) / depths[:, None]


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
        parts = (self.rays, fresh.rays_prev), (self.mean, mean), (self.variance, variance)
        return Keyframe(self.stamp, self.pose, tracks, *(np.concatenate(part)[order] for part in parts))


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
