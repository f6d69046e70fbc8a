"""A recording split in time: frames of the first part for training, pairs of frames of the last part for the test."""

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

PAIRS = 20  # test pairs
MIN_PAIRS = 5  # fewest test pairs of a recording
GAP = 5  # frames from the first to the second image of a test pair
INLIER_THRESHOLD = 1.5  # pixels from the epipolar line


@dataclass(frozen=True, eq=False)
class Recording:
    """Evenly spread training frames and test pairs of frames GAP apart, all grey uint8 (H, W)."""

    frames: list[Image]
    pairs: list[tuple[Image, Image]]


def read_recording(source: str, hold_out: float, topic: str = "") -> Recording:
    """Read a folder (or a pattern such as 'folder/*.color.jpg'), video or recording, and split it in time.

    hold_out: share of the frames, at the end, from which the test pairs are taken.
    Raises ValueError naming the fix for a missing or too short source.
    """
    if not 0 < hold_out < 1:
        raise ValueError(f"hold_out must be between 0 and 1, not {hold_out}: 0.2 holds out the last fifth")
    images = open_source(source, topic)
    count = sum(1 for _ in images)
    split = round(count * (1 - hold_out))
    if split < 1 or count - split < GAP + MIN_PAIRS:
        raise ValueError(
            f"'{source}' has {count} images: too few for {split} training and {count - split} test frames, at least "
            f"{GAP + MIN_PAIRS}: record more, or hold out a larger share (--hold-out 0.5)"
        )
    kept = set(_spread(0, split, MAX_FRAMES))
    firsts = _spread(split, count - GAP, PAIRS)
    wanted = {*firsts, *(first + GAP for first in firsts)}
    found = {index: gray_frame(image) for index, image in enumerate(images) if index in kept or index in wanted}
    return Recording([found[index] for index in sorted(kept)], [(found[first], found[first + GAP]) for first in firsts])


def _spread(start: int, stop: int, most: int) -> list[int]:
    """At most `most` evenly spread integers in [start, stop)."""
    return np.unique(np.linspace(start, stop - 1, min(most, stop - start)).round().astype(int)).tolist()


@dataclass(frozen=True)
class Quality:
    """Mean number of matches of a network over pairs of frames.

    matches: mutual nearest neighbours of the best keypoints.
    inliers: matches that agree with the estimated epipolar geometry (MAGSAC).
    """

    matches: float
    inliers: float

    @property
    def share(self) -> float:
        """Share of the matches that are inliers."""
        return self.inliers / self.matches if self.matches else 0.0


def matching_quality(extractor: Extractor, pairs: list[tuple[Image, Image]], label: str) -> Quality:
    """Match every pair as the node does, with a progress bar of this label."""
    counts = []
    for image0, image1 in tqdm(pairs, label):
        a, b = extractor(image0), extractor(image1)
        matched: NDArray[np.int32] = match(a, b).indices
        points0, points1 = a.keypoints[matched[:, 0]], b.keypoints[matched[:, 1]]
        counts.append((len(matched), int(estimated_inliers(points0, points1, INLIER_THRESHOLD).sum())))
    matches, inliers = np.mean(counts, axis=0)
    return Quality(float(matches), float(inliers))
