"""Frame after frame: features, matches with the frame before, and track ids. The node without ROS."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .extractor import Extractor
from .geometry.camera import Camera
from .images.mask import mask_rows
from .matcher import check_filters, match
from .tracker import Tracker, Tracks, others
from .types import Features, Matches
from .verification import Verification

# What suits the frames of a camera (docs/evaluation.md has the sweep): the node's defaults.
CAMERA_MAX_KEYPOINTS = 5000
CAMERA_SCALE = 0.5

BRIDGED_AGE = 2  # images that a track was seen in before it is taken up again, at least
LOST = 0.6  # share of the usual number of matches below which the motion is not believed
MAX_EXTRAPOLATION = 5.0  # times the last motion, where frames are missing


@dataclass(frozen=True, eq=False)
class Frame:
    """One processed image. `stamp` is in nanoseconds; the tracks belong to the rows of `features`."""

    image: NDArray[np.uint8]
    stamp: int
    features: Features
    tracks: Tracks

    def rows(self, rows: NDArray[np.intp]) -> Frame:
        """With some of its features only, in the order of `rows`."""
        return replace(self, features=self.features.rows(rows), tracks=self.tracks.rows(rows))


@dataclass(frozen=True, eq=False)
class Step:
    """What one image added. `matches` pairs rows of `frame` with rows of `previous`.

    inliers:   (M,) which matches agree with the geometry that most share; None where nothing was verified. All of them
               do where outliers are dropped.
    verified:  share of all matches that agree; NaN where nothing was verified.
    restarted: why the previous frame was forgotten; empty when it was not.
    """

    frame: Frame
    previous: Frame | None
    matches: Matches
    inliers: NDArray[np.bool_] | None = None
    verified: float = float("nan")
    restarted: str = ""


@dataclass(frozen=True)
class FrontEndOptions:
    """What the front-end does with features. The filters are those of `silk_ros.match`.

    radius:        with one, keypoints are expected to move on as they did between the last two images. At the start,
                   and after an image with far fewer matches than usual, they are looked for everywhere.
    verification:  of the matches, none by default.
    bridge:        take up tracks again that were not seen in one frame.
    max_published: keypoints that a frame hands out, at most: those that are matched first, then the best. 0 for all.
                   Matches are made between all keypoints and handed out where both ends are.

    Raises ValueError, naming the range, for values that cannot be.
    """

    ratio: float | None = None
    min_similarity: float | None = None
    double_softmax: float | None = None
    radius: float | None = None
    verification: Verification = field(default_factory=Verification)
    bridge: bool = False
    max_published: int = 0

    def __post_init__(self) -> None:
        check_filters(self.ratio, self.min_similarity, self.double_softmax, self.radius)
        if self.max_published < 0:
            raise ValueError(f"max_published must be 0 (all) or more, not {self.max_published}")


class FrontEnd:
    """Matches every image with the last one."""

    def __init__(self, extractor: Extractor, options: FrontEndOptions | None = None) -> None:
        self.extractor = extractor
        self._options = options or FrontEndOptions()
        self._tracker = Tracker()
        self._previous: Frame | None = None
        self._lost: Features | None = None  # of the tracks that may be bridged
        self._published: NDArray[np.intp] | None = None  # rows of the previous frame; None for all
        self._motion: NDArray[np.float32] | None = None  # of its keypoints (N, 2); None: look everywhere
        self._elapsed = 0  # nanoseconds that this motion took
        self._usual_count = 0  # matches found when last looking everywhere

    def change(self, options: FrontEndOptions, extractor: Extractor | None = None) -> None:
        """Go on with other options from the next image on.

        Another extractor or `max_published` starts new tracks: the rows of the previous frame would not be comparable.
        """
        if extractor is not None or options.max_published != self._options.max_published:
            self.reset()
        self.extractor = extractor or self.extractor
        self._options = options
        self._motion = self._lost = None

    def reset(self) -> None:
        """Forget the previous frame: the next image starts new tracks."""
        self._previous = self._motion = self._lost = self._published = None
        self._tracker.forget()

    def process(
        self,
        image: NDArray[np.uint8],
        stamp: int,
        camera: Camera | None = None,
        mask: NDArray[np.uint8] | None = None,
    ) -> Step:
        """Features of a grey image (H, W) uint8 and its matches with the last image.

        camera: for verification by an essential matrix.
        mask:   (H, W) uint8; keypoints where it is 0 are left out.

        An image of another size, or one that is older than the last, starts afresh.
        Raises what `Extractor` and `mask_rows` raise, and then keeps the previous frame.
        """
        options, found = self._options, None
        # Matches that the backend finds by itself are filtered by similarity at most.
        if options.ratio is None and options.double_softmax is None and options.radius is None:
            before = self._previous.features if self._previous else None
            features, found = self.extractor.extract_and_match(image, before)
        else:
            features = self.extractor(image)
        if mask is not None:  # of fewer keypoints than the backend has seen, its matches tell nothing
            features, found = features.rows(np.flatnonzero(mask_rows(mask, features.keypoints, image.shape))), None
        restarted = ""
        if self._previous is not None:
            last_size, size = self._previous.image.shape, image.shape
            if size != last_size:
                restarted = f"image size changed from {last_size[1]}x{last_size[0]} to {size[1]}x{size[0]}"
            elif stamp < self._previous.stamp:
                restarted = f"stamp went back by {(self._previous.stamp - stamp) / 1e9:.3f} s"
        if restarted:
            self.reset()
        previous = self._previous
        if previous is None:
            matches = Matches.empty()
        elif found is not None:
            matches = found if options.min_similarity is None else found.at_least(options.min_similarity)
        else:
            matches = self._match_previous(features, previous, stamp)
        inliers, verified = None, float("nan")
        if previous is not None and options.verification:
            rows, previous_rows = matches.indices.T
            points, points_prev = features.keypoints[rows], previous.features.keypoints[previous_rows]
            inliers = options.verification.inliers(points, points_prev, camera)
            verified = float(inliers.mean()) if len(inliers) else 0.0
            if options.verification.outliers == "drop":
                matches, inliers = matches.rows(inliers), inliers[inliers]
        tracks = self._tracker.update(matches, len(features), self._bridges(features, matches, camera))
        self._previous = Frame(image, stamp, features, tracks)
        if options.bridge and previous is not None:
            self._lost = previous.features.rows(self._tracker.lost_rows)
        return self._publish(Step(self._previous, previous, matches, inliers, verified, restarted))

    def _bridges(self, features: Features, matches: Matches, camera: Camera | None) -> Matches | None:
        """Matches of what is unmatched with tracks that were lost in the last frame.

        They are verified in any case: what matched nothing in between is wrong more often than not.
        """
        if not self._lost:
            return None
        rows = others(len(features), matches.indices[:, 0])
        lost_rows = np.flatnonzero(self._tracker.lost.ages >= BRIDGED_AGE)
        lost = self._lost.rows(lost_rows)
        found = self._match(features.rows(rows), lost)
        pairs = np.stack([rows[found.indices[:, 0]], lost_rows[found.indices[:, 1]]], axis=1).astype(np.int32)
        points, points_lost = features.keypoints[pairs[:, 0]], self._lost.keypoints[pairs[:, 1]]
        verification = self._options.verification or Verification("fundamental")
        return replace(found, indices=pairs).rows(verification.inliers(points, points_lost, camera))

    def _publish(self, step: Step) -> Step:
        """The part of a step that is handed out."""
        if not self._options.max_published:
            return step
        count, before = len(step.frame.features), self._published
        new_rows = np.full(len(step.previous.features) if step.previous else 0, -1)  # of the previous frame
        if step.previous is not None:
            kept = np.arange(len(new_rows)) if before is None else before
            new_rows[kept] = np.arange(len(kept))
        going_on = step.matches.rows(new_rows[step.matches.indices[:, 1]] >= 0).indices[:, 0]
        order = np.concatenate([np.sort(going_on), others(count, going_on)])
        rows = np.sort(order[: self._options.max_published])  # best score first, as ever
        place = np.full(count, -1)
        place[rows] = np.arange(len(rows))
        pairs = np.stack([place[step.matches.indices[:, 0]], new_rows[step.matches.indices[:, 1]]], axis=1)
        both = (pairs >= 0).all(axis=1)
        self._published = rows
        return replace(
            step,
            frame=step.frame.rows(rows),
            previous=step.previous.rows(before) if step.previous and before is not None else step.previous,
            matches=Matches(pairs[both], step.matches.similarity[both]),
            inliers=None if step.inliers is None else step.inliers[both],
        )

    def _match(
        self, a: Features, b: Features, radius: float | None = None, expected: NDArray[np.float32] | None = None
    ) -> Matches:
        options = self._options
        return match(a, b, options.ratio, options.min_similarity, options.double_softmax, radius, expected)

    def _match_previous(self, features: Features, previous: Frame, stamp: int) -> Matches:
        before, radius = previous.features, self._options.radius
        if radius is None:
            return self._match(features, before)
        elapsed = stamp - previous.stamp
        if self._motion is None:
            matches = self._match(features, before)
            self._usual_count = len(matches)
        else:
            # Frames can be missing in between.
            missed = min(elapsed / self._elapsed, MAX_EXTRAPOLATION) if elapsed and self._elapsed else 1.0
            expected = before.keypoints + np.float32(missed) * self._motion
            matches = self._match(features, before, radius, expected)
        lost = len(matches) < LOST * self._usual_count
        self._motion = None if lost else last_motion(features, before, matches, radius)
        self._elapsed = elapsed
        return matches


def last_motion(features: Features, previous: Features, matches: Matches, radius: float) -> NDArray[np.float32]:
    """How keypoints (N, 2) moved since the previous image, in pixels.

    A matched keypoint's own motion counts if that is within `radius` of the median; all others take the median.
    """
    rows, previous_rows = matches.indices.T
    own = features.keypoints[rows] - previous.keypoints[previous_rows]
    usual = np.median(own, axis=0) if len(own) else np.zeros(2)
    motion = np.tile(usual.astype(np.float32), (len(features), 1))
    near = np.linalg.norm(own - usual, axis=1) <= radius
    motion[rows[near]] = own[near]
    return motion
