"""Pairs of images, and the matches of a network in them that are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..geometry.epipolar import estimated_inliers
from ..images.folders import EVERYWHERE, FolderSource, photographs
from ..images.sampling import evenly_spaced
from ..images.sources import open_recorded
from ..images.storage.names import is_recording
from ..matcher import match
from ..types import Features
from .datasets.gray_images import Image
from .datasets.hpatches import SHORTER_EDGE, find_sequences, is_hpatches

KEYPOINTS = 5000
FRAME_GAP = 5  # between the two frames of a pair
FRAME_PAIRS = 20  # in the first round
MAX_FRAME_PAIRS = 160
CLOSE, NEAR = 1.0, 3.0  # pixels between a match and its true position


@dataclass(frozen=True, eq=False)
class Pair:
    """Two grey images, and the homography (3, 3) from the first to the second where it is known."""

    first: Image
    second: Image
    homography: NDArray[np.float64] | None = None


def read_gray_frames(source: str, topic: str = "") -> Iterator[Image]:
    """The grey images of a source that ends, those that can be read; of a folder with all its sub-folders.

    topic: of a recording.

    Raises ValueError, naming the fix, as `open_recorded` does, and for a source of which no image can be read.
    """
    folder = Path(source).expanduser()
    are_photographs = folder.is_dir() and not is_recording(folder) and photographs(folder)
    opened = FolderSource(folder, EVERYWHERE) if are_photographs else open_recorded(source, topic)
    yield from (image.gray() for image in opened)


def frame_pairs(frames: Iterable[Image], starts: Sequence[int], gap: int) -> list[Pair]:
    """The pairs of frames `start` and `start + gap` of a stream of grey frames, for each of `starts`."""
    wanted = {*starts, *(start + gap for start in starts)}
    found = {index: frame for index, frame in enumerate(frames) if index in wanted}
    return [Pair(found[start], found[start + gap]) for start in starts]


def read_pairs(source: str, skip: Sequence[str] = (), topic: str = "") -> list[Pair]:
    """The first round of `PairSource`: all pairs of HPatches sequences, or FRAME_PAIRS of a source's frames."""
    return next(iter(PairSource.open(source, skip, topic)))


@dataclass(frozen=True)
class PairSource:
    """Pairs of images in rounds, each of which makes their number up to twice as large; a round is in memory at a time.

    images: number of the source's images. counts: number of pairs in each round.
    """

    images: int
    counts: tuple[int, ...]
    _rounds: Callable[[], Iterator[list[Pair]]]

    @classmethod
    def open(cls, source: str, skip: Sequence[str] = (), topic: str = "") -> PairSource:
        """All pairs of HPatches sequences without those named in `skip`, in one round; or those of a source's frames.

        topic: of a recording.

        Raises ValueError, naming the fix, as `find_sequences` and `open_recorded` do, and for too few frames.
        """
        root = Path(source)
        if is_hpatches(root):
            opened = [sequence.read() for sequence in find_sequences(root, SHORTER_EDGE, skip)]
            pairs = [Pair(first, view.image, view.homography) for first, views in opened for view in views]
            return cls(len(opened) + len(pairs), (len(pairs),), lambda: iter([pairs]))
        images = open_recorded(source, topic)
        count = sum(1 for _ in images)
        starts = list(_rounds_of_starts(count))
        if not starts:
            raise ValueError(
                f"'{source}' has {count} images: at least {FRAME_GAP + 1} are needed to pair them, and some "
                f"{FRAME_PAIRS + FRAME_GAP} to judge a network"
            )

        def rounds() -> Iterator[list[Pair]]:
            return (frame_pairs((image.gray() for image in images), each, FRAME_GAP) for each in starts)

        return cls(count, tuple(map(len, starts)), rounds)

    def __iter__(self) -> Iterator[list[Pair]]:
        return self._rounds()


def _rounds_of_starts(count: int) -> Iterator[list[int]]:
    """The first frames of the pairs among `count` frames, spread evenly in each round; MAX_FRAME_PAIRS in all."""
    starts = list(range(count - FRAME_GAP))
    chosen = starts[:: max(1, len(starts) // FRAME_PAIRS)][:FRAME_PAIRS]
    taken = 0
    while chosen:
        yield chosen
        taken += len(chosen)
        starts = sorted(set(starts) - set(chosen))
        chosen = [starts[index] for index in evenly_spaced(len(starts), min(taken, MAX_FRAME_PAIRS - taken))]


def matched_points(a: Features, b: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The keypoints (M, 2) of each image that match the other's, in pixels x y."""
    rows = match(a, b).indices
    return a.keypoints[rows[:, 0]], b.keypoints[rows[:, 1]]


def epipolar_inliers(a: Features, b: Features, threshold: float = CLOSE) -> NDArray[np.bool_]:
    """Which matches (M,) of two images agree, within `threshold` pixels, with the epipolar geometry most of them share.

    Both images are views of a rigid scene by one moving camera; the geometry is MAGSAC's fundamental matrix.
    """
    return estimated_inliers(*matched_points(a, b), threshold)
