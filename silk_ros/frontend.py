"""Frame after frame: features, matches with the frame before, and track ids. The node without ROS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .extractor import Extractor
from .matcher import check_filters, match
from .tracker import Tracker
from .types import Features, Matches

# What suits the frames of a camera (docs/evaluation.md has the sweep): the node's defaults.
CAMERA_MAX_KEYPOINTS = 5000
CAMERA_SCALE = 0.5

LOST = 0.6  # share of the usual number of matches below which the motion is not believed
MAX_EXTRAPOLATION = 5.0  # times the last motion, where frames are missing


@dataclass(frozen=True, eq=False)
class Frame:
    """One processed image. `stamp` is in nanoseconds; track_ids (N,) uint32 belong to the rows of `features`."""

    image: NDArray[np.uint8]
    stamp: int
    features: Features
    track_ids: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Step:
    """What one image added. `matches` pairs rows of `frame` with rows of `previous`.

    `restarted` says why the previous frame was forgotten, and is empty when it was not.
    """

    frame: Frame
    previous: Frame | None
    matches: Matches
    restarted: str = ""


class FrontEnd:
    """Matches every image with the last one; the filters are those of `silk_ros.match`.

    With a radius, keypoints are expected to move on as they did between the last two images. At the start, and after
    an image with far fewer matches than usual, they are looked for everywhere.
    """

    def __init__(
        self,
        extractor: Extractor,
        ratio: float | None = None,
        min_similarity: float | None = None,
        double_softmax: float | None = None,
        radius: float | None = None,
    ) -> None:
        check_filters(ratio, min_similarity, double_softmax, radius)
        self.extractor = extractor
        self._match = partial(match, ratio=ratio, min_similarity=min_similarity, double_softmax=double_softmax)
        self._radius = radius
        # Matches that the backend finds by itself are filtered by similarity at most.
        self._backend_matches = ratio is None and double_softmax is None and radius is None
        self._min_similarity = -1.0 if min_similarity is None else min_similarity
        self._tracker = Tracker()
        self._previous: Frame | None = None
        self._motion: NDArray[np.float32] | None = None  # of its keypoints (N, 2); None: look everywhere
        self._elapsed = 0  # nanoseconds that this motion took
        self._usual_count = 0  # matches found when last looking everywhere

    def reset(self) -> None:
        """Forget the previous frame: the next image starts new tracks."""
        self._previous = self._motion = None
        self._tracker.forget()

    def process(self, image: NDArray[np.uint8], stamp: int) -> Step:
        """Features of a grey image (H, W) uint8 and its matches with the last image.

        An image of another size, or one that is older than the last, starts afresh.
        Raises what `Extractor` raises, and then keeps the previous frame.
        """
        found = None
        if self._backend_matches:
            before = self._previous.features if self._previous else None
            features, found = self.extractor.extract_and_match(image, before)
        else:
            features = self.extractor(image)
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
            matches = found.at_least(self._min_similarity)
        else:
            matches = self._match_previous(features, previous, stamp)
        self._previous = Frame(image, stamp, features, self._tracker.update(matches, len(features)))
        return Step(self._previous, previous, matches, restarted)

    def _match_previous(self, features: Features, previous: Frame, stamp: int) -> Matches:
        before = previous.features
        if self._radius is None:
            return self._match(features, before)
        elapsed = stamp - previous.stamp
        if self._motion is None:
            matches = self._match(features, before)
            self._usual_count = len(matches)
        else:
            # Frames can be missing in between.
            missed = min(elapsed / self._elapsed, MAX_EXTRAPOLATION) if elapsed and self._elapsed else 1.0
            expected = before.keypoints + np.float32(missed) * self._motion
            matches = self._match(features, before, radius=self._radius, expected=expected)
        lost = len(matches) < LOST * self._usual_count
        self._motion = None if lost else last_motion(features, before, matches, self._radius)
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
