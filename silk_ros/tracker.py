"""Track ids: a keypoint keeps the id of the keypoint that it matches in the previous frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .types import Matches

NO_CAMERA_ID = -1

Ids = NDArray[np.uint32]


def _no_ids() -> Ids:
    return np.empty(0, np.uint32)


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks of a frame's keypoints: ids (N,), and ages (N,), the number of frames that saw each."""

    ids: Ids = field(default_factory=_no_ids)
    ages: Ids = field(default_factory=_no_ids)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, rows: NDArray[np.intp]) -> Tracks:
        return Tracks(self.ids[rows], self.ages[rows])


@dataclass(frozen=True)
class TrackRules:
    """Rules for the tracks that are sent.

    min_age:      number of images in which a track must have been seen.
    max_count:    largest number of tracks in a message: those of the message before, then the oldest; 0: all.
    min_distance: least distance of two tracks in pixels; 0: any.
    camera_id:    value of the channel of that name; NO_CAMERA_ID: no such channel.
    """

    min_age: int = 2
    max_count: int = 300
    min_distance: float = 0.0
    camera_id: int = NO_CAMERA_ID


def others(count: int, rows: NDArray[np.integer]) -> NDArray[np.intp]:
    """The rows of `count` that are not among `rows`, in order."""
    return np.flatnonzero(~np.isin(np.arange(count), rows))


class TrackIds:
    """Source of new track ids, unsigned 32-bit and never reused before they wrap around."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> Ids:
        """New ids (count,)."""
        ids = (np.arange(self._next, self._next + count) % 2**32).astype(np.uint32)
        self._next = (self._next + count) % 2**32
        return ids


class Tracker:
    """Gives keypoints the ids of their tracks.

    `last` are the tracks of the last frame, `lost` those of the frame before it that were not seen in the last one, at
    its rows `lost_rows`: they can be taken up again.
    """

    def __init__(self, ids: TrackIds | None = None) -> None:
        """ids: source of the ids of new tracks, which trackers may share; one of its own where it is None."""
        self._ids = ids or TrackIds()
        self.last = self.lost = Tracks()
        self.lost_rows: NDArray[np.intp] = np.empty(0, np.intp)

    def update(self, matches: Matches, count: int, bridges: Matches | None = None) -> Tracks:
        """Tracks of the new frame's `count` keypoints.

        matches: rows of the new frame (first column) and of the last one (second column).
        bridges: rows of the new frame that are in no match, and rows of `lost`.
        """
        ids, ages = np.zeros(count, np.uint32), np.zeros(count, np.uint32)
        for pairs, tracks in ((matches, self.last), (bridges or Matches.empty(), self.lost)):
            rows, before = pairs.indices.T
            ids[rows], ages[rows] = tracks.ids[before], tracks.ages[before]
        fresh = np.flatnonzero(ages == 0)
        ids[fresh] = self._ids.take(len(fresh))
        self.lost_rows = others(len(self.last), matches.indices[:, 1])
        self.lost = self.last.rows(self.lost_rows)
        self.last = Tracks(ids, ages + np.uint32(1))
        return self.last

    def forget(self) -> None:
        """End all tracks; ids go on counting, so none is confused with an old one."""
        self.last = self.lost = Tracks()
        self.lost_rows = np.empty(0, np.intp)
