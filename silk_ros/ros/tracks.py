"""Tracks as estimators in the manner of VINS-Mono and VINS-Fusion read them: sensor_msgs/PointCloud."""

from __future__ import annotations

import array
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point32
from numpy.typing import NDArray
from sensor_msgs.msg import ChannelFloat32, PointCloud
from std_msgs.msg import Header

from ..frontend import Frame

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


class TrackMessages:
    """Makes the messages of one camera's frames, in order.

    Points are undistorted rays (x, y, 1); the channels `id`, `u`, `v`, `velocity_x`, `velocity_y` follow in that order:
    the track's id (modulo 2^24), pixels, and the ray's velocity in 1/s, 0 for a track that the last message had not.
    With a camera_id a channel of that name stands behind `id`, as VINS-Fusion wants it.
    """

    def __init__(self, rules: TrackRules) -> None:
        self.rules = rules
        self._stamp = 0
        self._ids = np.empty(0, np.uint32)  # sorted
        self._rays = np.empty((0, 3), np.float32)  # of these

    def message(self, header: Header, frame: Frame, rays: NDArray[np.float32]) -> PointCloud:
        """The tracks of a frame with rays (N, 3) of all its keypoints."""
        tracks, pixels = frame.tracks, frame.features.keypoints
        velocity = self._velocities(tracks.ids, rays, frame.stamp)
        order = np.argsort(tracks.ids)
        self._ids, self._rays, self._stamp = tracks.ids[order], rays[order], frame.stamp
        rows = np.flatnonzero(tracks.ages >= self.rules.min_age)
        if self.rules.max_count:
            oldest = np.argsort(-tracks.ages[rows].astype(np.int64), kind="stable")[: self.rules.max_count]
            rows = rows[np.sort(oldest)]
        columns = {"id": (tracks.ids[rows] % EXACT_IN_FLOAT32).astype(np.float32)}
        if self.rules.camera_id != NO_CAMERA_ID:
            columns["camera_id"] = np.full(len(rows), self.rules.camera_id, np.float32)
        columns |= {"u": pixels[rows, 0], "v": pixels[rows, 1]}
        columns |= {"velocity_x": velocity[rows, 0], "velocity_y": velocity[rows, 1]}
        return PointCloud(
            header=header,
            points=[Point32(x=x, y=y, z=z) for x, y, z in rays[rows].tolist()],
            channels=[
                ChannelFloat32(name=name, values=array.array("f", values.astype(np.float32).tobytes()))
                for name, values in columns.items()
            ],
        )

    def _velocities(self, ids: NDArray[np.uint32], rays: NDArray[np.float32], stamp: int) -> NDArray[np.float32]:
        velocity = np.zeros((len(ids), 2), np.float32)
        elapsed = (stamp - self._stamp) / 1e9
        if len(self._ids) and elapsed > 0:
            place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            known = self._ids[place] == ids
            velocity[known] = (rays[known] - self._rays[place[known]])[:, :2] / np.float32(elapsed)
        return velocity
