"""Tracks as VINS-Mono and VINS-Fusion read them: sensor_msgs/PointCloud."""

from __future__ import annotations

import array
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Point32
from numpy.typing import NDArray
from sensor_msgs.msg import ChannelFloat32, PointCloud
from std_msgs.msg import Header

from ...step import Frame
from ...tracker import NO_CAMERA_ID, TrackRules

EXACT_IN_FLOAT32 = 2**24  # ids, which are sent as float32, are exact below
REMEMBERED = 20000  # tracks that ended, many more than those in the window of keyframes that VINS optimizes


class Observations(NamedTuple):
    """Tracks as one camera sees them: ids (N,), pixels (N, 2) and undistorted rays (N, 3)."""

    ids: NDArray[np.uint32]
    pixels: NDArray[np.float32]
    rays: NDArray[np.float32]

    def rows(self, rows: NDArray[np.integer]) -> Observations:
        return Observations(self.ids[rows], self.pixels[rows], self.rays[rows])


class TrackMessages:
    """Messages with the tracks of one camera's frames, or of a stereo pair's, given in order.

    Points are undistorted rays (x, y, 1); tracks whose ray is NaN are not sent. The channels are `id` (modulo 2^24),
    `u`, `v` in pixels, and `velocity_x`, `velocity_y` of the ray in 1/s, 0 for a track without a ray in the last frame.
    A track that a message leaves out, because it was not seen or others were chosen, is in no later one.
    With a camera_id a channel of that name follows `id`, as VINS-Fusion needs it; the observations of the right camera
    of a pair then come last, with the next camera_id and the same ids.
    """

    def __init__(self, rules: TrackRules) -> None:
        self.rules = rules
        self._cameras = (_Velocities(), _Velocities())
        self._sent = np.empty(0, np.uint32)  # ids of the last message
        # VINS takes the n-th observation of an id for that of the n-th message: a track that was left out once is over.
        self._ended = np.empty(0, np.uint32)

    def message(
        self, header: Header, frame: Frame, rays: NDArray[np.float32], right: Observations | None = None
    ) -> PointCloud:
        """The tracks of a frame.

        rays: (N, 3) of all keypoints of the frame. right: the tracks that the right camera of a pair sees.
        """
        rows, camera_id = self._chosen(frame, rays), self.rules.camera_id
        left = Observations(frame.tracks.ids, frame.features.keypoints, rays)
        views, velocities = [left.rows(rows)], [self._cameras[0].update(left, frame.stamp)[rows]]
        if right is not None and camera_id != NO_CAMERA_ID:
            rows = np.flatnonzero(np.isin(right.ids, views[0].ids) & _are_known(right.rays))
            views.append(right.rows(rows))
            velocities.append(self._cameras[1].update(right, frame.stamp)[rows])
        u, v = np.concatenate([view.pixels for view in views]).T
        velocity_x, velocity_y = np.concatenate(velocities).T
        channels = {"id": np.concatenate([view.ids for view in views]) % EXACT_IN_FLOAT32}
        if camera_id != NO_CAMERA_ID:
            channels["camera_id"] = np.repeat(camera_id + np.arange(len(views)), [len(view.ids) for view in views])
        channels |= {"u": u, "v": v, "velocity_x": velocity_x, "velocity_y": velocity_y}
        points = [Point32(x=x, y=y, z=z) for view in views for x, y, z in view.rays.tolist()]
        buffers = {name: array.array("f", values.astype(np.float32).tobytes()) for name, values in channels.items()}
        sent = [ChannelFloat32(name=name, values=values) for name, values in buffers.items()]
        return PointCloud(header=header, points=points, channels=sent)

    def _chosen(self, frame: Frame, rays: NDArray[np.float32]) -> NDArray[np.intp]:
        """The rows of the tracks that have a ray and that the rules select, in order."""
        ages, ids, points = frame.tracks.ages, frame.tracks.ids, frame.features.keypoints
        rows = np.flatnonzero((ages >= self.rules.min_age) & _are_known(rays) & ~np.isin(ids, self._ended))
        rows = rows[np.lexsort([-ages[rows].astype(np.int64), ~np.isin(ids[rows], self._sent)])]
        count = self.rules.max_count or len(rows)
        if self.rules.min_distance:
            rows = _apart(rows, points, self.rules.min_distance, count)
        rows = np.sort(rows[:count])
        self._ended = np.concatenate([self._ended, np.setdiff1d(self._sent, ids[rows])])[-REMEMBERED:]
        self._sent = ids[rows]
        return rows


def _apart(rows: NDArray[np.intp], points: NDArray[np.float32], distance: float, count: int) -> NDArray[np.intp]:
    """The first `count` of the rows whose points (N, 2) are this far from those of all rows that are taken before."""
    taken: list[np.intp] = []
    while len(rows) and len(taken) < count:
        taken.append(rows[0])
        rows = rows[np.linalg.norm(points[rows] - points[rows[0]], axis=1) >= distance]
    return np.array(taken, np.intp)


class _Velocities:
    """Velocities of the rays of one camera's tracks, from one frame to the next."""

    def __init__(self) -> None:
        self._stamp = 0
        self._ids = np.empty(0, np.uint32)
        self._rays = np.empty((0, 3), np.float32)  # of these tracks

    def update(self, view: Observations, stamp: int) -> NDArray[np.float32]:
        """Velocities (N, 2) in 1/s of the rays of a frame; stamp in nanoseconds."""
        velocity = np.zeros((len(view.ids), 2), np.float32)
        elapsed = (stamp - self._stamp) / 1e9
        if elapsed > 0:
            _, known, before = np.intersect1d(view.ids, self._ids, assume_unique=True, return_indices=True)
            with np.errstate(over="ignore", invalid="ignore"):
                moved = (view.rays[known] - self._rays[before])[:, :2] / np.float32(elapsed)
            velocity[known] = np.where(_are_known(moved)[:, None], moved, 0)
        self._ids, self._rays, self._stamp = view.ids, view.rays, stamp
        return velocity


def _are_known(rays: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rays (N, ...) are finite."""
    return np.asarray(np.isfinite(rays).all(axis=1))
