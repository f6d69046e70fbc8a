"""The start of one camera: its first window of keyframes, from matches alone.

Two views leave several motions. The frames between them tell these apart: the points that a motion gives are where
these frames see them, or not.
"""

from __future__ import annotations

import numpy as np

from .estimate import START_MATCHES, START_PARALLAX
from .landmarks import new_landmarks, triangulate
from .localisation import localise
from .observations import NO_TRACKS, Floats, SeenTracks
from .two_view import TwoViewMotion, two_view_motions, unturned
from .window import AdjustmentError, Window, project

STANDING = 5.0  # pixels by which the median match has to move beside a turn
BETWEEN = 3  # frames between the first and the last by which motions are judged
WRONG = 3.0  # standard deviations from which all errors count the same
CLEAR = 1.15  # times the mean squared error of the best motion that all others must have
MOST_WAITING = 100  # frames


class Start:
    """Frames that wait for the first window, each with a guessed pose, of which the first one's holds."""

    def __init__(self, focal_length: float, speed: float = 0.0) -> None:
        """focal_length: of the camera, in pixels. speed: a second, sets the scale; 0 for 1 between first and last."""
        self._focal_length, self._speed = focal_length, speed
        self.waiting: list[tuple[SeenTracks, Floats]] = []

    def add(self, seen: SeenTracks, guess: Floats) -> Window | None:
        """Add a frame. Returns a window from the first frame that waits to this one, once their motion is known."""
        self.waiting.append((seen, guess))
        first, count = self.waiting[0][0], len(self.waiting)
        if np.count_nonzero(seen.find(first.tracks) >= 0) < START_MATCHES or count > MOST_WAITING:
            del self.waiting[: 1 + count // 3]
            return None
        if count < 3 or self._focal_length * unturned(first, seen) < STANDING:
            return None
        motions = two_view_motions(first, seen, self._focal_length)
        if not motions or max(motion.parallax for motion in motions) < START_PARALLAX:
            return None
        errors = self._errors(motions)
        best, second = int(np.argmin(errors)), np.sort([*errors, np.inf])[1]
        if motions[best].parallax < START_PARALLAX or second < CLEAR * errors[best]:
            return None
        return self._window(motions[best].pose, self._speed * (seen.stamp - first.stamp) / 1e9 or 1.0)

    def _errors(self, motions: list[TwoViewMotion]) -> Floats:
        """Mean squared errors (M,) of the points of motions in frames between, in variances.

        What no motion explains says nothing and is left out.
        """
        first, last = self.waiting[0][0], self.waiting[-1][0]
        rows = last.find(first.tracks)
        tracks, rays, other = first.tracks[rows >= 0], first.rays[rows >= 0], last.rays[rows[rows >= 0]]
        between = np.unique(np.linspace(0, len(self.waiting) - 1, BETWEEN + 2).round().astype(int)[1:-1])
        errors = []
        for motion in motions:
            points, _ = triangulate(np.eye(4), motion.pose, rays, other)
            found = []
            for seen in (self.waiting[at][0] for at in between):
                rows = seen.find(tracks)
                located = localise(seen, tracks[motion.agree], points[motion.agree], self._focal_length)
                places = project(located[0], points[rows >= 0]) if located is not None else np.inf
                error = np.linalg.norm(places - seen.rays[rows[rows >= 0]], axis=1)
                found.append(self._focal_length * error / seen.noise[rows[rows >= 0]])
            errors.append(np.minimum(np.nan_to_num(np.concatenate(found), nan=WRONG), WRONG))
        explained = np.min(errors, axis=0) < WRONG
        return np.mean(np.square(errors), axis=1, where=explained)

    def _window(self, motion: Floats, distance: float) -> Window | None:
        """The window of the first, a middle and the last frame, for a motion from first to last; None if it fails."""
        (first, pose), (middle, _), (last, _) = (self.waiting[at] for at in (0, len(self.waiting) // 2, -1))
        moved = motion.copy()
        moved[:3, 3] *= distance
        window, end = Window(self._focal_length), pose @ moved
        try:
            window.add(first, pose, NO_TRACKS, NO_TRACKS, np.empty((0, 3)))
            tracks, points = new_landmarks(window, last, end, NO_TRACKS)
            located = localise(middle, tracks, points, self._focal_length)
            if located is None:
                return None
            agree = np.isin(tracks, located[1])
            window.add(middle, located[0], NO_TRACKS, tracks[agree], points[agree])
            window.add(last, end, window.tracks, *new_landmarks(window, last, end, window.tracks), distance)
            window.settle()
        except AdjustmentError:
            return None
        return window
