"""Where training images come from: folders of photographs, videos and ROS recordings, mixed with weights."""

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

MAX_FRAMES = 300  # kept of a video or recording, evenly spread: neighbouring frames teach the same
CACHE_BYTES = 2 * 2**30  # of decoded photos, per process; what comes after is decoded each time


def find_images(root: str | Path) -> list[Path]:
    """All image files below a folder, in a fixed order."""
    return sorted(path for path in Path(root).rglob("[!.]*") if path.suffix.lower() in IMAGE_SUFFIXES)


def gray_frame(image: SourceImage) -> Image:
    """A source's image as grey uint8 (H, W)."""
    return to_gray(image.data.data, image.height, image.width, image.encoding, image.step, image.is_bigendian)


def _spread_frames(path: Path) -> list[Image]:
    """At most MAX_FRAMES grey frames of a video or recording, at equal distances, without knowing its length."""
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
    """Images to train on, by number, each with the probability that it is drawn.

    names:       what each image is called, unique.
    probability: (N,) float64, sums to 1.
    """

    names: list[str]
    probability: NDArray[np.float64]
    _items: list[Path | Image] = field(repr=False)
    _cache: dict[int, Image] = field(default_factory=dict, repr=False)
    _cached_bytes: int = 0

    @classmethod
    def from_sources(cls, sources: Mapping[str, float]) -> Photos:
        """Open sources, path -> weight: folders (with all their sub-folders), images, videos or recordings.

        The weight is how often each of its images is drawn relative to the others'. A folder inside another one
        takes its own images out of the outer: {"photos": 1, "photos/sky": 0.1}.
        Raises FileNotFoundError or ValueError naming the source that cannot be used.
        """
        weights: dict[str, float] = {}
        items: dict[str, Path | Image] = {}
        # Outer folders first: what lies in an inner one gets the inner one's weight.
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
        """Grey images (H, W), all as likely."""
        return cls(
            [f"{name}#{index}" for index in range(len(frames))], np.full(len(frames), 1 / len(frames)), [*frames]
        )

    def mixed_with(self, other: Photos, share: float) -> Photos:
        """These and others, which are drawn with a probability of `share` together."""
        probability = np.concatenate([(1 - share) * self.probability, share * other.probability])
        return Photos(self.names + other.names, probability, self._items + other._items)

    def __len__(self) -> int:
        return len(self.names)

    def split(self, held_out: int) -> tuple[Photos, Photos]:
        """The images without, and only, `held_out` of them, chosen among those that are drawn.

        These are photographs, spread evenly over the names; where there are too few, the last frames of a recording:
        single frames from its middle would have neighbours that are trained on.
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
        """An image as RGB uint8 (H, W, 3), decoded once while there is room to keep it."""
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
        """sha256 over the contents of all images, in their order: the identity of a training set, wherever it lies."""
        contents = (item.read_bytes() if isinstance(item, Path) else item.tobytes() for item in self._items)
        digests = (hashlib.sha256(content).digest() for content in contents)
        return hashlib.sha256(b"".join(digests)).hexdigest()


def _open(path: Path) -> dict[str, Path | Image]:
    """Name -> image file or frame, of one source."""
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
