"""Refinement of the matches of image after image, so that a track stays one point of the scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .geometry.camera import Camera
from .handover import handed_over, paired
from .images.mask import mask_rows
from .refinement import Patches, Refined, enough_succeeded, refine
from .step import Frame
from .types import Matches

FEWEST_SHOWN = 0.5  # share of the refined matches that the reference shows, below which it is replaced

Mask = NDArray[np.uint8] | None


class TrackRefinement:
    """Moves matched keypoints to where the image shows what an older image showed at the same track.

    Errors of refinements from image to image would add up. A track is therefore compared with one older image, the
    reference, as long as that shows it, and with the previous image otherwise. The newest image becomes the reference
    when the old one shows too few of the tracks. The search starts as far from the keypoint that the network found as
    the track was from the previous one.

    A track goes on at the row of the keypoint nearest to its refined position, which need not be that of its match.
    Where tracks came to the same place and outnumber the keypoints there, the youngest end.
    """

    def __init__(self) -> None:
        self._reference: Frame | None = None
        self._places = np.empty((0, 2), np.float32)  # of the last frame's keypoints in the reference; NaN: not there

    def forget(self) -> None:
        """Take the previous frame of the next update as the reference."""
        self._reference = None

    def update(
        self, frame: Frame, previous: Frame, matches: Matches, reach: float, pixel: float, mask: Mask = None
    ) -> tuple[Frame, Matches, float]:
        """The frame with refined keypoints, the matches to go on with, and the share of all whose refinement succeeded.

        The matches have the rows of `frame` at which the tracks go on. Where the share is too small (see
        `enough_succeeded`), all matches go on; `Matches.refined` tells which were refined.

        frame:    without rays, which belong to its keypoints.
        previous: the frame of the last update.
        matches:  rows of `frame` and of `previous`.
        reach:    most pixels from the start of the search.
        pixel:    side of a pixel of the network's image, in pixels of the image.
        mask:     (H, W) uint8; a match whose keypoint would move to where it is 0 does not succeed.
        """
        if self._reference is None:
            self._reference, self._places = previous, previous.features.keypoints
        rows, before = matches.indices.T
        places = self._places[before]
        points = frame.found.keypoints[rows] + previous.offsets[before]
        shown = np.isfinite(places).all(axis=1)
        succeeded = np.zeros(len(rows), bool)

        def compare(which: NDArray[np.bool_], patches: Patches, seen: NDArray[np.float32]) -> None:
            found = refine(patches, frame.patches, seen[which], points[which], reach)
            points[which], succeeded[which] = found.points, _unmasked(found, mask)

        compare(shown, self._reference.patches, places)
        shown &= succeeded
        compare(~shown, previous.patches, previous.features.keypoints[before])
        now = np.where(enough_succeeded(succeeded) & ~succeeded, -1, rows)
        now[succeeded] = handed_over(
            points[succeeded], frame.found.keypoints, pixel, previous.tracks.ages[before[succeeded]]
        )
        now[~succeeded & np.isin(rows, now[succeeded])] = -1
        refined = succeeded & (now >= 0)
        shown &= refined
        frame = frame.moved(now[refined], points[refined])
        if shown.sum() < FEWEST_SHOWN * refined.sum():
            self._reference, self._places = frame, frame.features.keypoints
        else:
            self._places = np.full_like(frame.features.keypoints, np.nan)
            self._places[now[shown]] = places[shown]
        share = float(succeeded.mean()) if len(succeeded) else float("nan")
        pairs = np.stack([now, before], axis=1)
        return frame, paired(pairs, matches.similarity, refined), share

    def bridge(
        self,
        frame: Frame,
        lost: Frame,
        matches: Matches,
        reach: float,
        pixel: float,
        free: NDArray[np.intp],
        mask: Mask = None,
        camera: Camera | None = None,
    ) -> tuple[Frame, Matches]:
        """The frame of the last update with more refined keypoints, and their matches whose refinement succeeded.

        matches: rows of `frame` and of the older frame `lost`.
        free:    rows of `frame` at which tracks may go on.
        camera:  for the rays of the refined keypoints.
        """
        rows, before = matches.indices.T
        points = frame.found.keypoints[rows] + lost.offsets[before]
        found = refine(lost.patches, frame.patches, lost.features.keypoints[before], points, reach)
        kept = _unmasked(found, mask)
        now = np.full(len(rows), -1)
        now[kept] = handed_over(found.points[kept], frame.found.keypoints, pixel, lost.tracks.ages[before[kept]], free)
        kept = now >= 0
        self._places = self._places.copy()
        self._places[now[kept]] = np.nan
        frame = frame.moved(now[kept], found.points[kept], camera)
        return frame, paired(np.stack([now, before], axis=1), matches.similarity)

    def put_back(self, frame: Frame, rows: NDArray[np.intp], camera: Camera | None = None) -> Frame:
        """The frame of the last update with some keypoints where the network found them: their tracks end."""
        points = frame.found.keypoints[rows]
        is_reference = self._reference is not None and self._reference.image is frame.image
        self._places = self._places.copy()
        self._places[rows] = points if is_reference else np.nan
        return frame.moved(rows, points, camera)


def _unmasked(found: Refined, mask: Mask) -> NDArray[np.bool_]:
    """Which refinements succeeded at a place that the mask does not cover."""
    return found.succeeded if mask is None else found.succeeded & mask_rows(mask, found.points, mask.shape)
