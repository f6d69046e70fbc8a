"""The image of a source, and the base of all sources."""

from __future__ import annotations

import itertools
import logging
import re
import statistics
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from ..words import counted, was
from .gray import check_layout, to_gray
from .value_range import ValueRange

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
NUMBERS = re.compile(r"\d+")
DEFAULT_RATE = 10.0  # Hz, of sources without a rate of their own
FIRST_STAMP = 10**9  # nanoseconds, where time starts at zero: a stamp of zero means "no stamp" to ROS


@dataclass(frozen=True, eq=False)
class SourceImage:
    """An image as a camera driver would publish it, with its stamp, pose and calibration where they are known.

    data: raw buffer of `step` bytes per row. pose: camera-to-world (4, 4).
    camera: calibration; where it is None although the source has one, `camera_problem` says why and what to do.
    stamp, frame_id: of a recorded message's header, in nanoseconds.
    path: of the file that holds this image alone. name: that path from the folder of the source, with / between
    folders. Both are empty for an image of a video, a recording or a camera.
    right: the image of the right camera at that moment, where this is the left one of a stereo pair.
    value_range: of the values of all 16-bit images of the source so far.
    """

    data: NDArray[np.uint8]
    height: int
    width: int
    encoding: str
    step: int
    is_bigendian: bool = False
    pose: NDArray[np.float64] | None = None
    camera: Camera | None = None
    camera_problem: str = ""
    stamp: int | None = None
    frame_id: str | None = None
    path: Path | None = None
    name: str = ""
    right: SourceImage | None = None
    value_range: ValueRange = field(default_factory=ValueRange)

    @classmethod
    def from_array(cls, image: NDArray[Any], encoding: str | None = None, **known: Any) -> SourceImage:
        """The image of an OpenCV array: grey or BGR(A), 8 or 16 bits, or of the encoding that is given.

        Raises ValueError, naming the fix, for other arrays.
        """
        encodings = {(1, 1): "mono8", (3, 1): "bgr8", (4, 1): "bgra8", (1, 2): "mono16", (3, 2): "bgr16"}
        channels = 1 if image.ndim == 2 else image.shape[2]
        if encoding is None and image.dtype.kind == "u":
            encoding = encodings.get((channels, image.dtype.itemsize))
        if encoding is None:
            raise ValueError(
                f"cannot publish an image of shape {image.shape} and type {image.dtype}: "
                "convert it to grey or colour, 8 or 16 bits"
            )
        data = np.ascontiguousarray(image).view(np.uint8).reshape(-1)
        return cls(data, image.shape[0], image.shape[1], encoding, len(data) // image.shape[0], **known)

    def check(self) -> None:
        """Raise ValueError, naming the fix, for a buffer that cannot be read."""
        check_layout(self.height, self.width, self.encoding, self.step, len(self.data))

    def gray(self) -> NDArray[np.uint8]:
        """The image in grey (H, W) uint8. Raises ValueError, naming the fix, for a buffer that cannot be read."""
        layout = self.height, self.width, self.encoding, self.step, self.is_bigendian
        return to_gray(self.data.data, *layout, value_range=self.value_range)


def usual_rate(stamps: Sequence[int | None]) -> float:
    """Images per second by the median of the positive differences between stamps (N,) in nanoseconds.

    DEFAULT_RATE without such differences.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    steps = [after - before for before, after in itertools.pairwise(known) if after > before]
    return 1e9 / statistics.median(steps) if steps else DEFAULT_RATE


@dataclass(frozen=True)
class Lost:
    """An image that a source cannot read: its place in the source, and the reason with the remedy.

    stamp: of its header, in nanoseconds; None where it is not known.
    unpaired: whether it could be read, but is one image of a stereo pair without the other.
    """

    place: str
    reason: str
    stamp: int | None = None
    unpaired: bool = False


class NoUsableImage(ValueError):
    """No image of a source can be used. lost: the first loss; None for a source that holds none."""

    def __init__(self, message: str, lost: Lost | None = None) -> None:
        super().__init__(message)
        self.lost = lost


class Source(ABC):
    """A source of images. Each iteration starts with the first image.

    Images that cannot be read are left out: the log gets the first one of each reason, and their number at the end.

    name:   what the user gave.
    rate:   images per second, by the median of the differences between stamps where there are any.
    about:  what of the source is read, and why, for the log; empty where there is no choice.
    stereo: whether its images have right ones.
    length: number of images, damaged ones included; None where it is not known before they are read.
    """

    length: int | None = None
    rate = DEFAULT_RATE
    about = ""
    stereo = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._said: set[str] = set()
        self._ranges: dict[tuple[str | None, str], ValueRange] = defaultdict(ValueRange)  # by frame_id and side

    def __iter__(self) -> Iterator[SourceImage]:
        """The images that can be read. Raises NoUsableImage, naming the fix, if there is none."""
        self.announce()
        used, losses = 0, 0
        first: Lost | None = None
        cameras: dict[str | None, int] = {}  # the first image of each frame_id
        for index, item in enumerate(self._read()):
            image, lost = self._usable(item, index)
            if lost is not None:
                first = first or lost
                losses += 1
                self._say(lost.reason, f"'{self.name}', {lost.place}: left out: {lost.reason}")
            if image is not None:
                if problem := image.camera_problem:
                    self._say(problem, f"'{self.name}': images have no calibration: {problem}")
                self._doubt(image.camera)
                cameras.setdefault(image.frame_id, index)
                if len(cameras) == 2:
                    first_of = " and ".join(f"{frame_id!r} from image {at}" for frame_id, at in cameras.items())
                    self._say("cameras", f"'{self.name}': images of several cameras, frame_id {first_of}")
                used += 1
                yield image
        if not used:
            reason = f"{first.place}: {first.reason}" if first else "it holds none"
            raise NoUsableImage(f"no image of '{self.name}' can be used: {reason}", first)
        if losses:
            read = f"{counted(used, 'image')} {was(used)} read"
            self._say("", f"'{self.name}': {read}, {losses} {was(losses)} left out")

    def announce(self) -> None:
        """Log once what is read."""
        if self.about and self.about not in self._said:
            self._said.add(self.about)
            log.info("%s", self.about)

    def _doubt(self, camera: Camera | None) -> None:
        """Warn of a calibration that is probably of larger or smaller images."""
        if camera is not None and not _is_central(camera):
            x, y = camera.matrix[:2, 2]
            self._say(
                "principal point",
                f"'{self.name}': the principal point ({x:.0f}, {y:.0f}) is far from the middle of images of "
                f"{camera.width}x{camera.height} pixels: is the calibration of these images, or of another size?",
            )

    def _say(self, reason: str, message: str) -> None:
        """Log a warning once for a reason, whatever numbers it names, however often the source is read."""
        kind = NUMBERS.sub("", reason)
        if kind not in self._said:
            self._said.add(kind)
            log.warning("%s", message)

    def _usable(self, item: SourceImage | Lost, index: int) -> tuple[SourceImage | None, Lost | None]:
        """The image that an item holds, and what of the item is lost."""
        if isinstance(item, Lost):
            return None, item
        try:
            image = self._checked(item, "left")
        except ValueError as error:
            return None, Lost(f"image {index}", str(error))
        if item.right is None:
            return image, None
        try:
            return replace(image, right=self._checked(item.right, "right")), None
        except ValueError as error:
            return replace(image, right=None), Lost(f"right image {index}", str(error))

    def _checked(self, image: SourceImage, side: str) -> SourceImage:
        """An image with the range of values of its camera. Raises ValueError if it cannot be read."""
        image.check()
        return replace(image, value_range=self._ranges[image.frame_id, side])

    @abstractmethod
    def _read(self) -> Iterator[SourceImage | Lost]:
        """All images in order. Raises ValueError, naming the fix, where the source cannot be read on."""


def _is_central(camera: Camera) -> bool:
    """Whether the principal point is in the middle half of the images."""
    return bool((np.abs(camera.matrix[:2, 2] / (camera.width, camera.height) - 0.5) < 0.25).all())
