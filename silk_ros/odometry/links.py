"""The matches of a frame as rays, which is what the odometry works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera

WIDEST = 10.0  # largest x and y at z = 1 of a usable ray: 84 degrees from the optical axis

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Links:
    """The matches of a frame with the frame before.

    stamp, previous: of the two frames, nanoseconds; previous is 0 without matches.
    rays, rays_prev: (M, 2) x y of undistorted rays at z = 1 in the two frames.
    index, index_prev: (M,) rows of the two feature clouds; tracks: (M,) track ids.
    """

    stamp: int
    previous: int
    rays: Floats
    rays_prev: Floats
    index: NDArray[np.uint32]
    index_prev: NDArray[np.uint32]
    tracks: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.tracks)

    def rows(self, rows: NDArray[Any]) -> Links:
        """Some of the matches."""
        names = ("rays", "rays_prev", "index", "index_prev", "tracks")
        return Links(self.stamp, self.previous, *(getattr(self, name)[rows] for name in names))

    def sorted(self) -> Links:
        """The matches in the order of their track ids, one match for each id."""
        return self.rows(np.unique(self.tracks, return_index=True)[1])

    def reversed(self) -> Links:
        """The same matches with the two frames exchanged."""
        return Links(self.previous, self.stamp, self.rays_prev, self.rays, self.index_prev, self.index, self.tracks)


def check_fields(points: NDArray[Any], topic: str, *names: str) -> None:
    """Raise ValueError, naming the fix, for the points of a cloud that lack fields of a topic."""
    if missing := set(names) - set(points.dtype.names or ()):
        raise ValueError(f"not a cloud of {topic}, it lacks {', '.join(sorted(missing))}: check the remapping")


def links_from_matches(stamp: int, matches: NDArray[Any], camera: Camera) -> Links:
    """Links of the points (M,) of a match cloud, a structured array. Those without a ray, and with one beyond WIDEST,
    are left out.

    Raises ValueError for a cloud that lacks the fields of ~/matches.
    """
    names = ("u", "v", "u_prev", "v_prev", "index", "index_prev", "track_id", "prev_sec", "prev_nanosec")
    check_fields(matches, "~/matches", *names)
    previous = int(matches["prev_sec"][0]) * 10**9 + int(matches["prev_nanosec"][0]) if len(matches) else 0
    rays, rays_prev = (
        camera.rays(np.stack([matches[u], matches[v]], axis=1))[:, :2].astype(np.float64)
        for u, v in (("u", "v"), ("u_prev", "v_prev"))
    )
    ids = (matches[name].astype(np.uint32) for name in ("index", "index_prev", "track_id"))
    links = Links(stamp, previous, rays, rays_prev, *ids)
    possible = (np.abs(np.hstack([rays, rays_prev])) < WIDEST).all(axis=1)  # and not NaN
    return links.rows(np.flatnonzero(possible))
