"""Motion between two frames from tracks of uncertain depth, and what the motion tells about the depths."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .links import Floats

ITERATIONS = 10
CONVERGED = 1e-5  # size of the last step, in radians and units of depth
CAUCHY = 2.0  # standard deviations at which a residual counts half
NEAREST = 0.05  # smallest depth in the second frame, in units of the depth in the first
MEDIAN_SQUARE = 1.39  # median of the sum of squares of two standard normal values


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
            along = self.variance / (noise + self.variance * (lines**2).sum(axis=1))
            squares = ((residuals**2).sum(axis=1) - along * (lines * residuals).sum(axis=1) ** 2) / noise
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
        residuals, noise = places - self.seen, self.noise**2
        along = self.variance / (noise + self.variance * (lines**2).sum(axis=1))
        squares = ((residuals**2).sum(axis=1) - along * (lines * residuals).sum(axis=1) ** 2) / noise
        return np.sqrt(np.maximum(squares, 0))

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

    def _project(self, rotation: Floats, translation: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Rotated rays (N, 3), depths (N,) of the moved points in units of the first depth, their places (N, 2) in the
        second frame, and the derivatives (N, 2) of the places by the inverse depth."""
        turned = np.column_stack([self.rays, np.ones(len(self.rays))]) @ rotation.T
        moved = turned + self.mean[:, None] * translation
        depths = np.maximum(moved[:, 2], NEAREST)
        places = moved[:, :2] / depths[:, None]
        return turned, depths, places, (translation[:2] - places * translation[2]) / depths[:, None]
