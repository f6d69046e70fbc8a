"""The results of the front-end for one image: its frame, its matches, and the part of them that is published."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .geometry.camera import Camera
from .refinement import Patches
from .stereo import StereoPair
from .tracker import Tracks, others
from .types import Features, Matches


@dataclass(frozen=True, eq=False)
class Frame:
    """One processed image.

    patches:  of the image, shared by the frames that are made of this one.
    stamp:    nanoseconds.
    tracks:   of the rows of `features`.
    rays:     (N, 3) float32, undistorted rays of the keypoints with z = 1, NaN where the calibration has none; None
              without a camera.
    detected: features as the network found them: keypoints on its grid, with their descriptors; None where no keypoint
              was moved by a refinement.
    """

    patches: Patches
    stamp: int
    features: Features
    tracks: Tracks = field(default_factory=Tracks)
    rays: NDArray[np.float32] | None = None
    detected: Features | None = None

    @property
    def image(self) -> NDArray[np.uint8]:
        """The image (H, W)."""
        return self.patches.image

    @property
    def found(self) -> Features:
        """The features as the network found them, which are those to match with others of the network."""
        return self.features if self.detected is None else self.detected

    @property
    def offsets(self) -> NDArray[np.float32]:
        """Where the keypoints are (N, 2) relative to where the network found them, in pixels."""
        return self.features.keypoints - self.found.keypoints

    def unlike(self, previous: Frame | None) -> str:
        """Why this frame cannot follow another one; empty where it can, or where there is none."""
        if previous is None:
            return ""
        before, size = previous.image.shape, self.image.shape
        if size != before:
            return f"image size changed from {before[1]}x{before[0]} to {size[1]}x{size[0]}"
        if self.stamp < previous.stamp:
            return f"stamp went back by {(previous.stamp - self.stamp) / 1e9:.3f} s"
        return ""

    def rows(self, rows: NDArray[np.intp]) -> Frame:
        """The frame with some of its features only, in the order of `rows`."""
        rays = None if self.rays is None else self.rays[rows]
        detected = None if self.detected is None else self.detected.rows(rows)
        features, tracks = self.features.rows(rows), self.tracks.rows(rows)
        return replace(self, features=features, tracks=tracks, rays=rays, detected=detected)

    def moved(self, rows: NDArray[np.integer], points: NDArray[np.float32], camera: Camera | None = None) -> Frame:
        """The frame with some keypoints at other positions (M, 2), and with the rays that `camera` gives them."""
        rays = self.rays
        if rays is not None and camera is not None:
            rays = rays.copy()
            rays[rows] = camera.rays(points)
        return replace(self, features=self.features.moved(rows, points), rays=rays, detected=self.found)


@dataclass(frozen=True, eq=False)
class Step:
    """The result for one image or stereo pair. `matches` pairs rows of `frame` with rows of `previous`.

    inliers:       (M,) which matches agree with the geometry that most share; None where nothing was verified. All of
                   them agree where outliers are dropped.
    verified:      share of all matches that agree; NaN where nothing was verified.
    restarted:     why the previous frame was forgotten; empty where it was not.
    stereo:        matches with the right image; None without one.
    right_problem: why the right image could not be used; empty where it could.
    refined_share: share of the matches with the previous frame that could be refined, those included that were dropped;
                   NaN without a refinement.
    """

    frame: Frame
    previous: Frame | None
    matches: Matches
    inliers: NDArray[np.bool_] | None = None
    verified: float = float("nan")
    restarted: str = ""
    stereo: StereoPair | None = None
    right_problem: str = ""
    refined_share: float = float("nan")

    def published(self, count: int, before: NDArray[np.intp] | None) -> tuple[Step, NDArray[np.intp]]:
        """The step with at most `count` keypoints of its frame (`max_published`), and the rows that they were.

        Keypoints whose match was handed out come first, then the best. Matches are kept where both ends are.
        before: rows of the previous frame that were handed out; None for all.
        """
        total = len(self.frame.features)
        new_rows = np.full(len(self.previous.features) if self.previous else 0, -1)  # of the previous frame
        if self.previous is not None:
            kept = np.arange(len(new_rows)) if before is None else before
            new_rows[kept] = np.arange(len(kept))
        going_on = self.matches.rows(new_rows[self.matches.indices[:, 1]] >= 0).indices[:, 0]
        order = np.concatenate([np.sort(going_on), others(total, going_on)])
        rows = np.sort(order[:count])  # still best score first
        place = np.full(total, -1)
        place[rows] = np.arange(len(rows))
        pairs = np.stack([place[self.matches.indices[:, 0]], new_rows[self.matches.indices[:, 1]]], axis=1)
        both = (pairs >= 0).all(axis=1)
        part = replace(
            self,
            frame=self.frame.rows(rows),
            previous=self.previous.rows(before) if self.previous and before is not None else self.previous,
            matches=replace(self.matches.rows(np.flatnonzero(both)), indices=pairs[both]),
            inliers=None if self.inliers is None else self.inliers[both],
        )
        return part, rows
