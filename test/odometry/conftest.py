"""A made-up room of points that a camera flies through, as the clouds that a front-end would publish of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.geometry.camera import Camera
from silk_ros.odometry.observations import SeenTracks

MATCHES = np.dtype(
    [(name, "<f4") for name in ("u", "v", "u_prev", "v_prev")]
    + [(name, "<u4") for name in ("index", "index_prev", "track_id", "prev_nanosec")]
    + [("prev_sec", "<i4")]
)
STEREO = np.dtype(
    [(name, "<f4") for name in ("u", "v", "z", "disparity", "disparity_sigma")]
    + [(name, "<u4") for name in ("index", "track_id")]
)
FEATURES = np.dtype([("track_id", "<u4"), ("descriptor", "<f4", (32,))])
WIDTH, HEIGHT, FOCAL_LENGTH = 640, 480, 400.0
PERIOD = 10**8  # nanoseconds


@dataclass(frozen=True, eq=False)
class Cloud:
    """What is published of one frame; pose (4, 4) is the true one, camera to world."""

    stamp: int
    pose: NDArray[np.float64]
    matches: NDArray
    stereo: NDArray
    features: NDArray


class Room:
    """6000 points on the walls of a room; a camera in the middle sees a point again by its number."""

    baseline = 0.2  # metres

    def __init__(self, half_size: tuple[float, float, float]) -> None:
        """half_size: metres from the middle to the walls on the right, at the bottom and ahead."""
        matrix = np.array([[FOCAL_LENGTH, 0, (WIDTH - 1) / 2], [0, FOCAL_LENGTH, (HEIGHT - 1) / 2], [0, 0, 1]])
        self.camera = Camera(WIDTH, HEIGHT, matrix, np.zeros(5))
        rng = np.random.default_rng(0)
        points = rng.uniform(-1, 1, (6000, 3))
        points /= np.abs(points).max(axis=1, keepdims=True)  # onto the sides of a cube
        self.points = points * half_size
        self.descriptors = rng.normal(0, 1, (6000, 32))

    def seen(
        self, pose: NDArray[np.float64], tracks: NDArray[np.int64], stamp: int = 0, noise: float = 0.0, seed: int = 1
    ) -> SeenTracks:
        """Points by their numbers as a camera at a pose sees them, by one camera; noise in pixels."""
        rng = np.random.default_rng(seed)
        moved = (self.points[tracks] - pose[:3, 3]) @ pose[:3, :3]
        rays = moved[:, :2] / moved[:, 2:] + rng.normal(0, noise, (len(tracks), 2)) / FOCAL_LENGTH
        unknown = np.full(len(tracks), np.nan)
        return SeenTracks(stamp, tracks, rays, np.full(len(tracks), 0.5), unknown, unknown)

    def ahead(self, count: int) -> NDArray[np.int64]:
        """Numbers (count,), ascending, of points around the middle of what the first camera sees."""
        near = np.abs(self.points[:, :2] / self.points[:, 2:]).max(axis=1) < 0.4
        return np.flatnonzero(near & (self.points[:, 2] > 0))[:count]

    @staticmethod
    def path(count: int, step: float = 0.03, turn: float = 1.0) -> NDArray[np.float64]:
        """Poses (count, 4, 4) that go sideways and a little forward by `step` metres, and turn by `turn` degrees."""
        motion = np.eye(4)
        motion[:3, :3] = cv2.Rodrigues(np.array([0, -np.radians(turn), 0]))[0]
        motion[:3, 3] = step * np.array([0.8, 0.0, 0.6])
        return np.array([np.linalg.matrix_power(motion, index) for index in range(count)])

    def clouds(
        self,
        poses: NDArray[np.float64],
        noise: float = 0.0,
        wrong: float = 0.0,
        disparity_noise: float = 0.0,
        first_stamp: int = 10**9,
        seed: int = 1,
    ) -> list[Cloud]:
        """noise, disparity_noise: of matches and disparities in pixels, standard deviation.

        wrong: share of matches that are anywhere in the image.
        """
        rng = np.random.default_rng(seed)
        clouds, before = [], None
        for number, pose in enumerate(poses):
            stamp = first_stamp + number * PERIOD
            moved = (self.points - pose[:3, 3]) @ pose[:3, :3]
            ahead = np.flatnonzero(moved[:, 2] > 0.3)
            projected = moved[ahead] @ self.camera.matrix.T
            pixels = projected[:, :2] / projected[:, 2:]
            seen = ((pixels >= 0) & (pixels <= [WIDTH - 1, HEIGHT - 1])).all(axis=1)
            ids, depths = ahead[seen].astype(np.uint32), moved[ahead[seen], 2]
            pixels = (pixels[seen] + rng.normal(0, noise, (seen.sum(), 2))).clip(0, [WIDTH - 1, HEIGHT - 1])
            stray = rng.random(len(ids)) < wrong
            pixels[stray] = rng.uniform(0, [WIDTH - 1, HEIGHT - 1], (stray.sum(), 2))
            stereo = np.empty(len(ids), STEREO)
            stereo["index"] = np.arange(len(ids))
            stereo["u"], stereo["v"], stereo["track_id"] = *pixels.T, ids
            disparities = FOCAL_LENGTH * self.baseline / depths + rng.normal(0, disparity_noise, len(ids))
            stereo["disparity"], stereo["disparity_sigma"] = disparities, disparity_noise or np.nan
            stereo["z"] = FOCAL_LENGTH * self.baseline / disparities
            matches = np.empty(0, MATCHES)
            if before is not None:
                old_stamp, old_ids, old_pixels = before
                _, rows, old_rows = np.intersect1d(ids, old_ids, return_indices=True)
                matches = np.empty(len(rows), MATCHES)
                matches["u"], matches["v"] = pixels[rows].T
                matches["u_prev"], matches["v_prev"] = old_pixels[old_rows].T
                matches["index"], matches["index_prev"], matches["track_id"] = rows, old_rows, ids[rows]
                matches["prev_sec"], matches["prev_nanosec"] = divmod(old_stamp, 10**9)
            features = np.empty(len(ids), FEATURES)
            features["track_id"] = ids
            features["descriptor"] = self.descriptors[ids] + rng.normal(0, 0.1, (len(ids), 32))
            clouds.append(Cloud(stamp, pose, matches, stereo, features))
            before = stamp, ids, pixels
        return clouds


@pytest.fixture(scope="session")
def room() -> Room:
    return Room((4, 2, 4))


@pytest.fixture(scope="session")
def wide() -> Room:
    """A deep room, whose walls are between 10 and 45 baselines away."""
    return Room((4, 2, 9))


@pytest.fixture(scope="session")
def hall() -> Room:
    """Most of its points are too far away for their disparities to count."""
    return Room((4, 2, 25))
