"""Features of images: the extractor, which runs the network on a region of interest at a scale."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .backends import Backend, ClosableBackend, EngineOptions, Extracted, MatchingBackend, select_backend
from .backends.model import FEW_STEPS, few_steps
from .paths import default_model
from .selection import Selection
from .types import Features, Matches

log = logging.getLogger(__name__)

DEFAULT_MAX_KEYPOINTS = 1000
DEFAULT_SCALE = 1.0
MAX_THREADS = 256
MAX_SEEN = 16_000_000  # pixels that the network sees: its largest map takes 2 GB of them


@dataclass(frozen=True)
class Region:
    """A region of interest in pixels. A width or height of 0 reaches to the end of the image.

    Raises ValueError, naming the fix, for values below 0.
    """

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if min(self.x, self.y, self.width, self.height) < 0:
            raise ValueError(f"a region of interest has no negative values, unlike {self}")

    def __bool__(self) -> bool:
        return self != Region()

    def __str__(self) -> str:
        return f"{self.width or 'full'}x{self.height or 'full'} at ({self.x}, {self.y})"

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of the region in an image (H, W). Raises ValueError if the region is not inside the image."""
        height, width = image.shape
        right, bottom = self.x + (self.width or width - self.x), self.y + (self.height or height - self.y)
        if right > width or bottom > height or self.x >= width or self.y >= height:
            raise ValueError(f"the region of interest {self} is not inside an image of {width}x{height} pixels")
        return image[self.y : bottom, self.x : right]


class Extractor:
    """Extracts the best keypoints of grey images, whose size may change; for one thread at a time.

    `backend`, `scale` and `selection` are as given to `load`, for programs that want to say what runs: the backend has
    the selection in its graph.
    """

    def __init__(
        self,
        backend: Backend,
        scale: float = DEFAULT_SCALE,
        max_keypoints: int | None = None,
        selection: Selection | None = None,
        region: Region | None = None,
    ) -> None:
        self.backend = backend
        self.scale = scale
        self.max_keypoints = max_keypoints or backend.max_keypoints
        self.selection = selection or Selection()
        self._rules = self.selection.rules(scale)
        self.region = region or Region()

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        max_keypoints: int = DEFAULT_MAX_KEYPOINTS,
        backend: str = "auto",
        precision: str = "auto",
        scale: float = DEFAULT_SCALE,
        threads: int = 0,
        selection: Selection | None = None,
        engine: EngineOptions | None = None,
        region: Region | None = None,
    ) -> Extractor:
        """Load an exported ONNX file, or the shipped VGGnp-mu when `path` is None.

        max_keypoints: a hard cap on the keypoints of an image.
        backend:       a name from `silk_ros.backends.BACKENDS`, or "auto" for the best one installed.
        precision:     what the backend computes in, or "auto" for what suits this processor or GPU.
        scale:         the network sees the image resized by this factor; keypoints stay in pixels of the image given.
        threads:       of the backend; 0 for as many as there are cores.
        selection:     rules for spreading keypoints over the image; without, the best ones are taken wherever they are.
        engine:        how TensorRT builds its engines.
        region:        region of interest; the rest of an image is ignored.

        Raises FileNotFoundError or ValueError, naming the fix, for a missing or foreign file and for bad arguments, and
        ImportError for a backend that is not installed.
        """
        if (
            isinstance(max_keypoints, bool)
            or not isinstance(max_keypoints, (int, np.integer))
            or not 1 <= max_keypoints < 2**31
        ):
            raise ValueError(f"max_keypoints must be a whole number of at least 1, not {max_keypoints!r}")
        if not isinstance(threads, (int, np.integer)) or not 0 <= threads <= MAX_THREADS:
            raise ValueError(f"threads must be a whole number from 0 to {MAX_THREADS}, not {threads!r}")
        model = default_model() if path is None else Path(path)
        rules = (selection or Selection()).rules(scale)
        loaded = select_backend(backend, precision, model, int(max_keypoints), threads, engine, rules)
        if note := few_steps(loaded.metadata):
            log.warning(
                "'%s' was %s: below %d it finds few right matches; train on with training.train", model, note, FEW_STEPS
            )
        return cls(loaded, scale, int(max_keypoints), selection, region)

    def __repr__(self) -> str:
        backend = self.backend
        why = f" ({backend.reason})" if backend.reason else ""
        trained = f", {note}" if (note := few_steps(backend.metadata)) else ""
        return (
            f"Extractor({backend.model.name}{trained} in {backend.name} on {backend.device}, {backend.precision}{why}, "
            f"up to {self.max_keypoints} keypoints at scale {self.scale:g})"
        )

    @property
    def min_size(self) -> int:
        """The least number of pixels of both sides of an image: there is a keypoint in the middle."""
        return int(np.ceil(self._rules.least_side(self.backend.border) / self.scale))

    def __call__(self, image: NDArray[np.uint8]) -> Features:
        """Features of a grey image (H, W) uint8, best score first.

        Raises TypeError or ValueError, naming the fix, for anything else, and for images below the receptive field.
        """
        part = self.part_of(image)
        seen = self._resized(part)
        return self._features(part.shape, self.backend.extract(seen), seen.shape)

    def extract_and_match(self, image: NDArray[np.uint8], previous: Features | None) -> tuple[Features, Matches | None]:
        """Features of an image, and their mutual nearest neighbours in `previous` where the backend finds them itself.

        The matches are None where the backend does not match, or does not hold the descriptors of `previous` any more.
        Raises what calling the extractor raises.
        """
        if not isinstance(self.backend, MatchingBackend):
            return self(image), None
        part = self.part_of(image)
        seen = self._resized(part)
        # The backend knows the descriptors that it gave by identity: `Features` keeps the array itself.
        extracted, matched = self.backend.extract_and_match(seen, None if previous is None else previous.descriptors)
        return self._features(part.shape, extracted, seen.shape), None if matched is None else Matches(*matched)

    def part_of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The region of interest of an image. Raises TypeError or ValueError, naming the fix, for an unusable one."""
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            kind = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise TypeError(
                f"the image must be a numpy array of uint8, not {kind}: scale it to 0-255 and use .astype(numpy.uint8)"
            )
        if image.ndim != 2:
            raise ValueError(
                f"the image must have shape (height, width), not {image.shape}: "
                "use cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)"
            )
        part = self.region.of(image) if self.region else image
        if min(part.shape) < self.min_size:
            what = "a region of interest" if self.region else "an image"
            raise ValueError(
                f"{what} of {part.shape[1]}x{part.shape[0]} pixels is smaller than the receptive field or has nothing "
                f"inside selection.border: both sides need at least {self.min_size} pixels at scale {self.scale:g}"
            )
        if part.size * self.scale**2 > MAX_SEEN:
            raise ValueError(
                f"an image of {part.shape[1]}x{part.shape[0]} pixels at scale {self.scale:g} is more than "
                f"{MAX_SEEN // 10**6} megapixels: lower the scale, or set a region of interest"
            )
        return part

    def close(self) -> None:
        """End the work of the backend in other threads, such as building an engine, as soon as possible."""
        if isinstance(self.backend, ClosableBackend):
            self.backend.close()

    def _resized(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The contiguous image that the network sees."""
        if self.scale == 1:
            return np.ascontiguousarray(image)
        height, width = image.shape
        size = max(1, round(width * self.scale)), max(1, round(height * self.scale))
        interpolation = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)

    def _features(self, shape: tuple[int, ...], extracted: Extracted, seen: tuple[int, ...]) -> Features:
        """Features in pixels of the given image, whose region of `shape` the network has seen in the shape `seen`."""
        keypoints, scores, descriptors = extracted
        if seen != shape:
            # Pixel areas correspond, not centres: centre c of the network's image is (c + 0.5) * ratio - 0.5 here.
            pixel_ratio = np.array([shape[1] / seen[1], shape[0] / seen[0]], np.float32)
            keypoints = (keypoints + np.float32(0.5)) * pixel_ratio - np.float32(0.5)
        if self.region:
            keypoints = keypoints + np.array([self.region.x, self.region.y], np.float32)
        return Features(keypoints, scores, descriptors)
