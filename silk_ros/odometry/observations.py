"""What the frames see of the tracks, from the clouds of the front-end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera

WIDEST = 10.0  # largest x and y at z = 1 of a usable ray: 84 degrees from the optical axis
REFINED, UNREFINED = 0.5, 1.0  # pixels, standard deviation of a refined position, and of one on the network's grid
ARRAYS = ("tracks", "rays", "noise", "disparities", "disparity_noise")

Floats = NDArray[np.float64]
Tracks = NDArray[np.int64]
Rows = NDArray[np.intp]
NO_TRACKS: Tracks = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class SeenTracks:
    """The tracks that a frame sees, in the order of their ids.

    stamp:          nanoseconds.
    tracks:         (N,) ids, ascending, each once.
    rays:           (N, 2) x y at z = 1. noise: (N,) pixels, standard deviation of the positions.
    disparities:    (N,) pixels, from stereo matches; NaN where there is none. disparity_noise: (N,) their deviation.
    focal_baseline: focal length times baseline, pixels times metres: depth times disparity; 0 without stereo matches.
    """

    stamp: int
    tracks: Tracks
    rays: Floats
    noise: Floats
    disparities: Floats
    disparity_noise: Floats
    focal_baseline: float = 0.0

    def __len__(self) -> int:
        return len(self.tracks)

    def find(self, tracks: Tracks) -> Rows:
        """The rows (M,) of tracks, -1 for those that the frame does not see."""
        if not len(self):
            return np.full(len(tracks), -1)
        rows = np.searchsorted(self.tracks, tracks).clip(max=len(self) - 1)
        return np.where(self.tracks[rows] == tracks, rows, -1)

    def joined(self, other: SeenTracks) -> SeenTracks:
        """These observations, and another object's of tracks that are not among these."""
        return self._sorted({name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ARRAYS})

    def with_stereo(self, other: SeenTracks) -> SeenTracks:
        """These observations with the disparities of another object, of the same frame, and its other tracks."""
        rows = other.find(self.tracks)
        disparities, noise = (
            np.where(rows >= 0, getattr(other, name)[rows], getattr(self, name)) if len(other) else getattr(self, name)
            for name in ("disparities", "disparity_noise")
        )
        found = replace(self, disparities=disparities, disparity_noise=noise, focal_baseline=other.focal_baseline)
        return found.joined(other)

    def renamed(self, tracks: Tracks, names: Tracks) -> SeenTracks:
        """These observations with other ids (M,) for some tracks (M,)."""
        rows = self.find(tracks)
        ids = self.tracks.copy()
        ids[rows[rows >= 0]] = names[rows >= 0]
        return self._sorted({name: getattr(self, name) for name in ARRAYS} | {"tracks": ids})

    def _sorted(self, arrays: dict[str, NDArray[Any]]) -> SeenTracks:
        first = np.unique(arrays["tracks"], return_index=True)[1]
        changes: dict[str, Any] = {name: values[first] for name, values in arrays.items()}
        return replace(self, **changes)


def observations_of(stamp: int, matches: NDArray[Any], camera: Camera) -> tuple[SeenTracks, SeenTracks]:
    """The observations in a cloud of matches (M,), a structured array: of its frame, and of the frame before.

    Those without a ray, and with one beyond WIDEST, are left out. Raises ValueError for a cloud that lacks the fields
    of ~/matches.
    """
    check_fields(matches, "~/matches", "u", "v", "u_prev", "v_prev", "track_id", "prev_sec", "prev_nanosec")
    previous = int(matches["prev_sec"][0]) * 10**9 + int(matches["prev_nanosec"][0]) if len(matches) else 0
    return _observations(stamp, matches, camera), _observations(previous, matches, camera, "u_prev", "v_prev")


def stereo_observations(stamp: int, matches: NDArray[Any], camera: Camera, offset: float = 0.0) -> SeenTracks:
    """The observations in a cloud of stereo matches (M,), a structured array; those without a depth are left out.

    offset: pixels to add to all disparities. Raises ValueError for a cloud that lacks the fields of ~/stereo_matches.
    """
    check_fields(matches, "~/stereo_matches", "u", "v", "z", "disparity", "track_id")
    depths, disparities = matches["z"].astype(np.float64), matches["disparity"].astype(np.float64)
    usable = np.isfinite(depths * disparities) & (depths > 0) & (disparities > 0) & (disparities + offset > 0)
    matches, products, disparities = matches[usable], (depths * disparities)[usable], disparities[usable] + offset
    named = "disparity_sigma" in (matches.dtype.names or ())
    noise = matches["disparity_sigma"].astype(np.float64) if named else np.full(len(matches), UNREFINED)
    found = _observations(stamp, matches, camera, disparities=disparities, noise=np.nan_to_num(noise, nan=UNREFINED))
    return replace(found, focal_baseline=float(np.median(products)) if len(products) else 0.0)


def _observations(
    stamp: int,
    points: NDArray[Any],
    camera: Camera,
    u: str = "u",
    v: str = "v",
    disparities: Floats | None = None,
    noise: Floats | None = None,
) -> SeenTracks:
    rays = camera.rays(np.stack([points[u], points[v]], axis=1))[:, :2].astype(np.float64)
    usable = np.flatnonzero((np.abs(rays) < WIDEST).all(axis=1))  # and not NaN
    tracks, first = np.unique(points["track_id"][usable].astype(np.int64), return_index=True)
    rows = usable[first]
    refined = points["refined"][rows] if "refined" in (points.dtype.names or ()) else np.zeros(len(rows), bool)
    spread = np.where(refined, REFINED, UNREFINED)
    if disparities is None or noise is None:
        disparities = noise = np.full(len(points), np.nan)
    return SeenTracks(stamp, tracks, rays[rows], spread, disparities[rows], noise[rows])


def check_fields(points: NDArray[Any], topic: str, *names: str) -> None:
    """Raise ValueError, naming the fix, for the points of a cloud that lack fields of a topic."""
    if missing := set(names) - set(points.dtype.names or ()):
        raise ValueError(f"not a cloud of {topic}, it lacks {', '.join(sorted(missing))}: check the remapping")
