"""Training images from folders of photographs, videos and ROS recordings, mixed with weights."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from silk_ros.images.folders import photographs
from silk_ros.images.image_files import decode_file, image_files, split_pattern
from silk_ros.images.sampling import spaced_to_ends, spread
from silk_ros.images.source import IMAGE_SUFFIXES
from silk_ros.images.sources import open_recorded
from silk_ros.images.storage.names import is_recording

log = logging.getLogger(__name__)

Image = NDArray[np.uint8]

MAX_FRAMES = 300  # frames kept from a video or recording, evenly spread: neighbouring frames are nearly equal
CACHE_BYTES = 2 * 2**30  # decoded photos kept per process; others are decoded at each read


@dataclass(eq=False)
class Photos:
    """Training images with unique names, and the probability (N,) that each is drawn, which sums to 1."""

    names: list[str]
    probability: NDArray[np.float64]
    _items: list[Path | Image] = field(repr=False)
    _cache: dict[int, Image] = field(default_factory=dict, repr=False)

    @classmethod
    def from_sources(cls, sources: Mapping[str, float]) -> Photos:
        """Images of folders with all their sub-folders, image files, videos or recordings (path -> weight).

        Probabilities are proportional to the weights; that of an inner folder replaces that of the outer one.
        Raises FileNotFoundError or ValueError naming the source that cannot be used.
        """
        weights: dict[str, float] = {}
        items: dict[str, Path | Image] = {}
        # Outer folders first: the weight of an inner folder overwrites theirs.
        for source, weight in sorted(sources.items(), key=lambda pair: len(Path(pair[0]).resolve().parts)):
            found = _open(Path(source))
            items |= found
            weights |= dict.fromkeys(found, weight)
        draw = np.array(list(weights.values()), np.float64)
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
        """Training images and `held_out` others of positive probability. Raises ValueError if there are too few.

        Photographs are held out evenly over the names. If there are too few, the last images are held out: frames from
        the middle of a recording would have nearly equal neighbours in the training set.
        """
        drawn = np.flatnonzero(self.probability)
        if held_out >= len(drawn):
            raise ValueError(f"cannot hold out {held_out} of {len(drawn)} images: lower validation_photos")
        files = drawn[[isinstance(self._items[index], Path) for index in drawn]]
        evenly = spaced_to_ends(0, len(files), held_out)
        chosen = files[evenly] if len(files) > held_out else drawn[len(drawn) - held_out :]
        return self._subset(np.setdiff1d(np.arange(len(self)), chosen)), self._subset(chosen)

    def _subset(self, indices: NDArray[np.intp]) -> Photos:
        probability = self.probability[indices]
        names, items = ([values[index] for index in indices] for values in (self.names, self._items))
        return Photos(names, probability / probability.sum() if len(indices) else probability, items)

    def read(self, index: int) -> Image:
        """Image as RGB uint8 (H, W, 3), cached up to CACHE_BYTES. Raises ValueError for an unreadable file."""
        if index in self._cache:
            return self._cache[index]
        item = self._items[index]
        if isinstance(item, np.ndarray):
            return np.asarray(cv2.cvtColor(item, cv2.COLOR_GRAY2RGB), np.uint8)
        try:
            bgr = decode_file(item, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except ValueError as error:
            raise ValueError(f"cannot read the image '{item}': {error}") from error
        photo = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        if sum(cached.nbytes for cached in self._cache.values()) + photo.nbytes <= CACHE_BYTES:
            self._cache[index] = photo
        return photo

    def hash(self) -> str:
        """SHA-256 of the contents of all images in order; independent of their paths."""
        contents = (item.read_bytes() if isinstance(item, Path) else item.tobytes() for item in self._items)
        digests = (hashlib.sha256(content).digest() for content in contents)
        return hashlib.sha256(b"".join(digests)).hexdigest()


def _open(path: Path) -> dict[str, Path | Image]:
    """Images of one source: name -> file or grey frame."""
    path = path.expanduser()
    if not path.exists() and (pattern := split_pattern(path)) is not None:
        return _readable(path, image_files(*pattern))
    if path.is_dir() and not is_recording(path) and (images := photographs(path)):
        return _readable(path, images)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return _readable(path, [path])
    try:
        frames = spread((image.gray() for image in open_recorded(str(path))), MAX_FRAMES)
    except ValueError as error:
        raise ValueError(f"cannot use '{path}' as data: {error}") from error
    return {f"{path.resolve()}#{index}": frame for index, frame in enumerate(frames)}


def _readable(source: Path, images: list[Path]) -> dict[str, Path | Image]:
    """The image files of a source that can be decoded; the others are counted and logged, the first one by name."""
    if not images:
        raise ValueError(f"no images '{source}': give a folder of photographs, a video or a recording")
    log.info("'%s': %d images", source, len(images))
    lost = {}
    for image in tqdm(images, f"reading '{source.name}'", unit="image", leave=False, delay=1):
        try:
            decode_file(image)
        except ValueError as error:
            lost[image] = f"'{image}': {error}"
    if lost and len(lost) == len(images):
        raise ValueError(f"no image of '{source}' can be used: {next(iter(lost.values()))}")
    if lost:
        log.warning("'%s': %d of %d images left out: %s", source, len(lost), len(images), next(iter(lost.values())))
    return {str(image.resolve()): image for image in images if image not in lost}
