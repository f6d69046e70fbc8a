"""A recording split in time: the first part to learn from, pairs of frames of the last part to judge by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from silk_ros.extractor import Extractor
from silk_ros.geometry.epipolar import estimated_inliers
from silk_ros.images.sources import open_source
from silk_ros.matcher import match

from .photos import MAX_FRAMES, Image, gray_frame

PAIRS = 20  # judged by
MIN_PAIRS = 5
GAP = 5  # frames between the two of a pair
INLIER_THRESHOLD = 1.5  # pixels from the epipolar line


@dataclass(frozen=True, eq=False)
class Recording:
    """Grey frames (H, W) uint8 to learn from, evenly spread, and pairs of frames to judge by, GAP frames apart."""

    frames: list[Image]
    pairs: list[tuple[Image, Image]]


def read_recording(source: str, hold_out: float, topic: str = "") -> Recording:
    """Read a folder (or a pattern such as 'folder/*.color.jpg'), video or recording, keeping its last part to judge by.

    hold_out: share of the frames, in the order of time, that is only judged by.
    Raises ValueError naming the fix when there is no such source, or too little in it.
    """
    if not 0 < hold_out < 1:
        raise ValueError(f"hold_out must be between 0 and 1, not {hold_out}: 0.2 judges by the last fifth")
    images = open_source(source, topic)
    count = sum(1 for _ in images)
    split = round(count * (1 - hold_out))
    if split < 1 or count - split < GAP + MIN_PAIRS:
        raise ValueError(
            f"'{source}' has {count} images: too few to learn from {split} and judge by {count - split}, which takes "
            f"at least {GAP + MIN_PAIRS}: record more, or hold out a larger share (--hold-out 0.5)"
        )
    kept = set(_spread(0, split, MAX_FRAMES))
    firsts = _spread(split, count - GAP, PAIRS)
    wanted = {*firsts, *(first + GAP for first in firsts)}
    found = {index: gray_frame(image) for index, image in enumerate(images) if index in kept or index in wanted}
    return Recording([found[index] for index in sorted(kept)], [(found[first], found[first + GAP]) for first in firsts])


def _spread(start: int, stop: int, most: int) -> list[int]:
    """At most `most` whole numbers from start to below stop, evenly spread."""
    return np.unique(np.linspace(start, stop - 1, min(most, stop - start)).round().astype(int)).tolist()


@dataclass(frozen=True)
class Quality:
    """How well an ONNX file matches pairs of frames, on average.

    matches: mutual nearest neighbours of the best keypoints.
    inliers: those of them that agree with the epipolar geometry which most share (MAGSAC); `share` of the matches.
    """

    matches: float
    inliers: float

    @property
    def share(self) -> float:
        return self.inliers / self.matches if self.matches else 0.0


def matching_quality(extractor: Extractor, pairs: list[tuple[Image, Image]], label: str) -> Quality:
    """Match every pair, as the node would; the label is the progress bar's."""
    counts = []
    for image0, image1 in tqdm(pairs, label):
        a, b = extractor(image0), extractor(image1)
        matched: NDArray[np.int32] = match(a, b).indices
        points0, points1 = a.keypoints[matched[:, 0]], b.keypoints[matched[:, 1]]
        counts.append((len(matched), int(estimated_inliers(points0, points1, INLIER_THRESHOLD).sum())))
    matches, inliers = np.mean(counts, axis=0)
    return Quality(float(matches), float(inliers))
