"""Identity through time: a keypoint keeps the track id of the keypoint that it matches in the frame before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .types import Matches


class Tracker:
    """Hands out track ids, unsigned 32-bit and never reused before they wrap around."""

    def __init__(self) -> None:
        self._next_id = 0
        self._ids = np.empty(0, np.uint32)

    def update(self, matches: Matches, count: int) -> NDArray[np.uint32]:
        """Ids (count,) of the new frame's keypoints.

        `matches` pairs rows of the new frame (first column) with rows of the frame of the last call (second column).
        """
        inherited = np.zeros(count, bool)
        inherited[matches.indices[:, 0]] = True
        fresh = count - int(inherited.sum())
        ids = np.empty(count, np.uint32)
        ids[matches.indices[:, 0]] = self._ids[matches.indices[:, 1]]
        ids[~inherited] = (np.arange(self._next_id, self._next_id + fresh) % 2**32).astype(np.uint32)
        self._next_id = (self._next_id + fresh) % 2**32
        self._ids = ids
        return ids

    def forget(self) -> None:
        """End all tracks; ids go on counting, so none is confused with an old one."""
        self._ids = np.empty(0, np.uint32)
