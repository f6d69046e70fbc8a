"""Frame after frame: features, matches with the frame before, and track ids. The node without ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .extractor import Extractor
from .matcher import check_filters, match
from .tracker import Tracker
from .types import Features, Matches


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
    """Matches every image with the last one; the filters are those of `silk_ros.match`."""

    def __init__(
        self,
        extractor: Extractor,
        ratio: float | None = None,
        min_similarity: float | None = None,
        double_softmax: float | None = None,
    ) -> None:
        check_filters(ratio, min_similarity, double_softmax)
        self.extractor = extractor
        self._filters = {"ratio": ratio, "min_similarity": min_similarity, "double_softmax": double_softmax}
        self._tracker = Tracker()
        self._previous: Frame | None = None

    def reset(self) -> None:
        """Forget the previous frame: the next image starts new tracks."""
        self._previous = None
        self._tracker.forget()

    def process(self, image: NDArray[np.uint8], stamp: int) -> Step:
        """Features of a grey image (H, W) uint8 and its matches with the last image.

        An image of another size, or one that is older than the last, starts afresh.
        Raises what `Extractor` raises, and then keeps the previous frame.
        """
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
        matches = match(features, previous.features, **self._filters) if previous else Matches.empty()
        self._previous = Frame(image, stamp, features, self._tracker.update(matches, len(features)))
        return Step(self._previous, previous, matches, restarted)
