"""Training images from folders of photographs, videos and ROS recordings, mixed with weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from silk_ros.images.gray import to_gray
from silk_ros.images.source import IMAGE_SUFFIXES, SourceImage
from silk_ros.images.sources import open_source

Image = NDArray[np.uint8]

MAX_FRAMES = 300  # frames kept from a video or recording, evenly spread: neighbouring frames are nearly equal
CACHE_BYTES = 2 * 2**30  # decoded photos kept per process; others are decoded at each read


def find_images(root: str | Path) -> list[Path]:
    """All image files below a folder, sorted."""
    return sorted(path for path in Path(root).rglob("[!.]*") if path.suffix.lower() in IMAGE_SUFFIXES)


def gray_frame(image: SourceImage) -> Image:
    """Image of a source as grey uint8 (H, W)."""
    return to_gray(image.data.data, image.height, image.width, image.encoding, image.step, image.is_bigendian)


def _spread_frames(path: Path) -> list[Image]:
    """At most MAX_FRAMES equidistant grey frames of a video or recording of unknown length, read in one pass."""
    frames: list[Image] = []
    stride = 1
    for index, frame in enumerate(open_source(str(path))):
        if index % stride == 0:
            frames.append(gray_frame(frame))
            if len(frames) > MAX_FRAMES:
                frames, stride = frames[::2], stride * 2
    return frames


@dataclass(eq=False)
class Photos:
    """N training images, each with the probability that it is drawn.

    names:       unique names of the images.
    probability: (N,) float64, sums to 1.
    """

    names: list[str]
    probability: NDArray[np.float64]
    _items: list[Path | Image] = field(repr=False)
    _cache: dict[int, Image] = field(default_factory=dict, repr=False)
    _cached_bytes: int = 0

    @classmethod
    def from_sources(cls, sources: Mapping[str, float]) -> Photos:
        """Images of sources (path -> weight): folders with all their sub-folders, images, videos or recordings.

        Each image of a source is drawn with a probability proportional to its weight. The weight of a folder inside
        another one replaces the outer weight for its images: {"photos": 1, "photos/sky": 0.1}.
        Raises FileNotFoundError or ValueError naming the source that cannot be used.
        """
        weights: dict[str, float] = {}
        items: dict[str, Path | Image] = {}
        # Outer folders first: the weight of an inner folder overwrites theirs.
        for source, weight in sorted(sources.items(), key=lambda pair: len(Path(pair[0]).resolve().parts)):
            found = _open(Path(source))
            items |= found
            weights |= dict.fromkeys(found, weight)
        draw = np.array([weights[name] for name in items], np.float64)
        if not len(draw):
            raise ValueError("no training images: give --data a folder of photographs, a video or a recording")
        if (draw < 0).any() or draw.sum() == 0:
            raise ValueError("weights of the data must not be negative, nor all zero")
        return cls(list(items), draw / draw.sum(), list(items.values()))

    @classmethod
    def from_frames(cls, frames: Sequence[Image], name: str) -> Photos:
        """Grey images (H, W) uint8 with equal probabilities."""
        names = [f"{name}#{index}" for index in range(len(frames))]
        return cls(names, np.full(len(frames), 1 / len(frames)), [*frames])

    def mixed_with(self, other: Photos, share: float) -> Photos:
        """The union of both sets; an image of `other` is drawn with probability `share`."""
        probability = np.concatenate([(1 - share) * self.probability, share * other.probability])
        return Photos(self.names + other.names, probability, self._items + other._items)

    def __len__(self) -> int:
        return len(self.names)

    def split(self, held_out: int) -> tuple[Photos, Photos]:
        """Split into training images and `held_out` images; only images of positive probability are held out.

        Photographs are held out evenly over the names. If there are too few, the last images are held out: frames from
        the middle of a recording would have nearly equal neighbours in the training set.
        """
        drawn = np.flatnonzero(self.probability)
        if held_out >= len(drawn):
            raise ValueError(f"cannot hold out {held_out} of {len(drawn)} images: lower validation_photos")
        files = drawn[[isinstance(self._items[index], Path) for index in drawn]]
        if len(files) > held_out:
            chosen = set(files[np.linspace(0, len(files) - 1, held_out).round().astype(int)]) if held_out else set()
        else:
            chosen = set(drawn[len(drawn) - held_out :])
        rest = [index for index in range(len(self)) if index not in chosen]
        return self._subset(rest), self._subset(sorted(chosen))

    def _subset(self, indices: list[int]) -> Photos:
        probability = self.probability[indices]
        return Photos(
            [self.names[index] for index in indices],
            probability / probability.sum() if len(indices) else probability,
            [self._items[index] for index in indices],
        )

    def read(self, index: int) -> Image:
        """Image as RGB uint8 (H, W, 3), cached up to CACHE_BYTES. Raises ValueError for an unreadable file."""
        item = self._items[index]
        if isinstance(item, np.ndarray):
            return np.asarray(cv2.cvtColor(item, cv2.COLOR_GRAY2RGB), np.uint8)
        if index in self._cache:
            return self._cache[index]
        bgr = cv2.imread(str(item), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"cannot read the image '{item}': remove or replace the file")
        photo = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        if self._cached_bytes + photo.nbytes <= CACHE_BYTES:
            self._cache[index] = photo
            self._cached_bytes += photo.nbytes
        return photo

    def hash(self) -> str:
        """SHA-256 of the contents of all images in order; independent of their paths."""
        contents = (item.read_bytes() if isinstance(item, Path) else item.tobytes() for item in self._items)
        digests = (hashlib.sha256(content).digest() for content in contents)
        return hashlib.sha256(b"".join(digests)).hexdigest()


def _open(path: Path) -> dict[str, Path | Image]:
    """Images of one source: name -> file or grey frame."""
    path = path.expanduser()
    if "*" in path.name:
        named = sorted(image for image in path.parent.glob(path.name) if image.suffix.lower() in IMAGE_SUFFIXES)
        return {str(image.resolve()): image for image in named}
    if not path.exists():
        raise FileNotFoundError(f"no '{path}': give a folder of photographs, a video, or a rosbag2 or .mcap recording")
    if path.is_dir() and (images := find_images(path)):
        return {str(image.resolve()): image for image in images}
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return {str(path.resolve()): path}
    try:
        frames = _spread_frames(path)
    except ValueError as error:
        raise ValueError(f"cannot use '{path}' as data: {error}") from error
    if not frames:
        raise ValueError(f"cannot use '{path}' as data: it holds no frames")
    return {f"{path.resolve()}#{index}": frame for index, frame in enumerate(frames)}
