"""The landmarks that the odometry has left behind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_PAST = 5000  # landmarks, of which the oldest are forgotten


class LandmarkMap:
    """The last position of each landmark, by the id of its track."""

    def __init__(self) -> None:
        self._positions: dict[int, NDArray[np.floating]] = {}  # the one that was seen last at the end
        self._current = 0

    def update(self, ids: NDArray[np.uint32], positions: NDArray[np.floating]) -> None:
        """Take in the landmarks of the moment: ids (N,) and positions (N, 3)."""
        current = dict(zip(ids.tolist(), np.array(positions)))
        for each in current:
            self._positions.pop(each, None)
        self._positions |= current
        self._current = len(current)
        for oldest in list(self._positions)[: max(0, len(self._positions) - self._current - MOST_PAST)]:
            del self._positions[oldest]

    def past(self) -> NDArray[np.floating]:
        """Positions (N, 3) of landmarks that are none of the moment any more."""
        positions = list(self._positions.values())
        return np.array(positions[: len(positions) - self._current]).reshape(-1, 3)
