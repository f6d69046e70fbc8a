"""Landmarks found again by their descriptors, after their tracks were lost."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .observations import SeenTracks, Tracks
from .window import Window

FEWEST = 15  # landmarks that have to be found
RATIO = 0.9  # largest distance of a match, as a share of that to the second nearest


class Appearance:
    """Descriptors of the landmarks, and the tracks on which landmarks go on that were found again."""

    def __init__(self) -> None:
        self._tracks: Tracks = np.empty(0, np.int64)  # (N,) of landmarks, ascending
        self._descriptors: NDArray[Any] = np.empty((0, 0))  # (N, D)
        self._later: Tracks = np.empty(0, np.int64)  # (M,) tracks of landmarks that were found again
        self._earlier: Tracks = np.empty(0, np.int64)  # (M,) the tracks that they had

    def learn(self, window: Window, features: NDArray[Any] | None) -> None:
        """Take the descriptors of landmarks from the features of the newest keyframe, a structured array."""
        if features is None or not {"track_id", "descriptor"} <= set(features.dtype.names or ()):
            return
        names = dict(zip(self._later.tolist(), self._earlier.tolist()))
        ids = np.array([names.get(each, each) for each in features["track_id"].tolist()], np.int64)
        seen = np.flatnonzero(np.isin(ids, window.tracks))
        kept = np.isin(self._tracks, window.tracks) & ~np.isin(self._tracks, ids[seen])
        descriptors = features["descriptor"][seen]
        if kept.any():
            descriptors = np.concatenate([descriptors, self._descriptors[kept]])
        self._tracks, self._descriptors = np.concatenate([ids[seen], self._tracks[kept]]), descriptors

    def relocate(self, window: Window, features: NDArray[Any]) -> bool:
        """Find landmarks among the features of a frame, a structured array. Returns whether enough were found."""
        known = np.isin(self._tracks, window.tracks)
        if known.sum() < FEWEST or len(features) < 2:
            return False
        binary = self._descriptors.dtype == np.uint8
        matcher = cv2.BFMatcher(cv2.NORM_HAMMING if binary else cv2.NORM_L2)
        wanted, there = (
            np.ascontiguousarray(each if binary else each.astype(np.float32))
            for each in (self._descriptors[known], features["descriptor"])
        )
        found = [best for best, second in matcher.knnMatch(wanted, there, 2) if best.distance < RATIO * second.distance]
        if len(found) < FEWEST:
            return False
        later = features["track_id"][[match.trainIdx for match in found]].astype(np.int64)
        earlier = self._tracks[known][[match.queryIdx for match in found]]
        self._later, first = np.unique(later, return_index=True)
        self._earlier = earlier[first]
        return True

    def named(self, seen: SeenTracks) -> SeenTracks:
        """The tracks with the earlier ids of tracks that were found again."""
        return seen.renamed(self._later, self._earlier) if len(self._later) else seen
