"""Tracks as estimators in the manner of VINS-Mono and VINS-Fusion read them: sensor_msgs/PointCloud."""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Point32
from numpy.typing import NDArray
from sensor_msgs.msg import ChannelFloat32, PointCloud
from std_msgs.msg import Header

from ...step import Frame

NO_CAMERA_ID = -1
EXACT_IN_FLOAT32 = 2**24  # ids are sent as float32


@dataclass(frozen=True)
class TrackRules:
    """Which tracks are sent.

    min_age:   images that a track must have been seen in.
    max_count: tracks of a message, the oldest; 0 for all.
    camera_id: of the channel of that name; NO_CAMERA_ID for no such channel.
    """

    min_age: int = 2
    max_count: int = 300
    camera_id: int = NO_CAMERA_ID


class Observations(NamedTuple):
    """Where one camera sees tracks: ids (N,), pixels (N, 2) and undistorted rays (N, 3)."""

    ids: NDArray[np.uint32]
    pixels: NDArray[np.float32]
    rays: NDArray[np.float32]

    def rows(self, rows: NDArray[np.integer]) -> Observations:
        return Observations(self.ids[rows], self.pixels[rows], self.rays[rows])


class TrackMessages:
    """Makes the messages of one camera's frames, or of a stereo pair's, in order.

    Points are undistorted rays (x, y, 1); the channels `id`, `u`, `v`, `velocity_x`, `velocity_y` follow in that order:
    the track's id (modulo 2^24), pixels, and the ray's velocity in 1/s, 0 for a track that the last message had not.
    With a camera_id a channel of that name stands behind `id`, as VINS-Fusion wants it; the right camera of a pair then
    follows with the next camera_id and the same ids.
    """

    def __init__(self, rules: TrackRules) -> None:
        self.rules = rules
        self._cameras = (_Velocities(), _Velocities())

    def message(
        self, header: Header, frame: Frame, rays: NDArray[np.float32], right: Observations | None = None
    ) -> PointCloud:
        """The tracks of a frame with rays (N, 3) of all its keypoints, and what the right camera sees of them."""
        tracks = frame.tracks
        rows = np.flatnonzero(tracks.ages >= self.rules.min_age)
        if self.rules.max_count:
            oldest = np.argsort(-tracks.ages[rows].astype(np.int64), kind="stable")[: self.rules.max_count]
            rows = rows[np.sort(oldest)]
        left = Observations(tracks.ids, frame.features.keypoints, rays)
        seen = [(left.rows(rows), self._cameras[0].of(left, frame.stamp)[rows])]
        camera_id = self.rules.camera_id
        if right is not None and camera_id != NO_CAMERA_ID:
            also = np.flatnonzero(np.isin(right.ids, tracks.ids[rows]))
            seen.append((right.rows(also), self._cameras[1].of(right, frame.stamp)[also]))
        columns = {"id": [(view.ids % EXACT_IN_FLOAT32).astype(np.float32) for view, _ in seen]}
        if camera_id != NO_CAMERA_ID:
            columns["camera_id"] = [
                np.full(len(view.ids), camera_id + n, np.float32) for n, (view, _) in enumerate(seen)
            ]
        for axis, name in enumerate("uv"):
            columns[name] = [view.pixels[:, axis] for view, _ in seen]
        for axis, name in enumerate("xy"):
            columns[f"velocity_{name}"] = [velocity[:, axis] for _, velocity in seen]
        return PointCloud(
            header=header,
            points=[Point32(x=x, y=y, z=z) for view, _ in seen for x, y, z in view.rays.tolist()],
            channels=[
                ChannelFloat32(name=name, values=array.array("f", np.concatenate(parts).astype(np.float32).tobytes()))
                for name, parts in columns.items()
            ],
        )


class _Velocities:
    """How fast the rays of one camera's tracks move, from what it saw last."""

    def __init__(self) -> None:
        self._stamp = 0
        self._ids = np.empty(0, np.uint32)  # sorted
        self._rays = np.empty((0, 3), np.float32)  # of these

    def of(self, view: Observations, stamp: int) -> NDArray[np.float32]:
        """Velocities (N, 2) in 1/s of the rays that are seen at a stamp in nanoseconds."""
        velocity = np.zeros((len(view.ids), 2), np.float32)
        elapsed = (stamp - self._stamp) / 1e9
        if len(self._ids) and elapsed > 0:
            place = np.minimum(np.searchsorted(self._ids, view.ids), len(self._ids) - 1)
            known = self._ids[place] == view.ids
            velocity[known] = (view.rays[known] - self._rays[place[known]])[:, :2] / np.float32(elapsed)
        order = np.argsort(view.ids)
        self._ids, self._rays, self._stamp = view.ids[order], view.rays[order], stamp
        return velocity
