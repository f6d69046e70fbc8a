"""Search for the best settings of the node that hold a camera's rate on this machine: `benchmark --rate`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...backends import processor
from ...backends.parity import photographs
from ...extractor import Extractor
from ...front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE, FrontEndOptions
from ...frontend import FrontEnd
from ...stereo import RightImage
from ..datasets.gray_images import Image
from .quality import table

RESERVE = 0.3  # share of the time between two images that is reserved for other programs
MESSAGES_MS = 2.0  # per image, for receiving it and publishing the results, as the node needs
RADIUS = FrontEndOptions.radius  # share of the image's width
WARM_UP, FEWEST = 3, 5  # images
SECONDS = 0.6  # of timing a setting that seems to hold the rate
TIME_LIMIT = 45.0  # seconds of search, after which the cheapest setting is taken
CLEARLY = 0.9  # share of the milliseconds below which another number of threads is preferred
STEP = 4  # pixels by which the view moves between images


class CameraLoad(NamedTuple):
    """The images that a camera sends to the node: their rate in Hz, their size, and whether they are stereo pairs."""

    rate: float
    width: int
    height: int
    stereo: bool = False

    @property
    def budget_ms(self) -> float:
        """Milliseconds that extraction and matching may take. Raises ValueError for a rate that leaves none."""
        budget = 1e3 * (1 - RESERVE) / self.rate - MESSAGES_MS
        if budget <= 0:
            most = 1e3 * (1 - RESERVE) / MESSAGES_MS
            raise ValueError(f"{self.rate:g} Hz leave no time for an image: {most:.0f} Hz are the limit of any machine")
        return budget


@dataclass(frozen=True)
class Candidate:
    """Parameters of the node. auc: their quality by the table. radius: share of the image's width; 0 for everywhere."""

    scale: float
    max_keypoints: int
    precision: str
    radius: float
    auc: float
    threads: int = 0

    def parameters(self) -> dict[str, float | int | str]:
        """The values by the names of the node's parameters."""
        return {
            "scale": self.scale,
            "max_keypoints": self.max_keypoints,
            "precision": self.precision,
            "matcher.radius": self.radius,
            "threads": self.threads,
        }

    def no_faster_than(self, other: Candidate) -> bool:
        """Whether it does at least the work of another candidate of the same precision and radius."""
        alike = self.precision == other.precision and self.radius == other.radius
        return alike and self.scale >= other.scale and self.max_keypoints >= other.max_keypoints


class Timed(NamedTuple):
    """A candidate, and the 90th percentile of its milliseconds for an image."""

    candidate: Candidate
    ms: float

    @property
    def hertz(self) -> float:
        """The rate that the candidate holds with the reserve."""
        return 1e3 * (1 - RESERVE) / (self.ms + MESSAGES_MS)


def candidates(camera: CameraLoad, precisions: Mapping[str, str]) -> list[Candidate]:
    """All settings of the table for a camera: the node's defaults first, then by quality, each with a radius first.

    precisions: the precision behind each value of the parameter on this machine, the preferred one first. Scales above
    the default are left out: they are slower and no better. Where the network's images are larger or smaller than those
    of the table, the quality is that of the nearest size.
    """
    shorter = min(camera.width, camera.height)
    edges = sorted({setting.edge for setting in table()}, reverse=True)
    scales = {CAMERA_SCALE: max((edge for edge in edges if edge <= CAMERA_SCALE * shorter), default=edges[-1])}
    scales |= {round(edge / shorter, 4): edge for edge in edges if round(edge / shorter, 4) < CAMERA_SCALE}
    found = [
        Candidate(scale, setting.keypoints, name, near, auc)
        for name, precision in precisions.items()
        for scale, edge in scales.items()
        for setting, auc in table().items()
        if setting.edge == edge and (setting.precision == "int8") == (precision == "int8")
        for near in (RADIUS, 0.0)
    ]
    defaults = CAMERA_SCALE, CAMERA_MAX_KEYPOINTS, next(iter(precisions))
    return sorted(found, key=lambda each: ((each.scale, each.max_keypoints, each.precision) != defaults, -each.auc))


class Search(NamedTuple):
    """The best candidate that holds the rate, or None, and those tried.

    timed: the node's defaults first; only the cheapest one if that does not hold the rate. defaults: quality of the
    node's defaults. complete: whether all candidates better than the best one were tried within TIME_LIMIT.
    """

    best: Timed | None
    timed: list[Timed]
    defaults: float
    complete: bool = True


def find(camera: CameraLoad) -> Search:
    """Try candidates from the best one down until one holds the camera's rate.

    Raises ValueError for a rate that leaves no time for an image.
    """
    end, budget = time.monotonic() + TIME_LIMIT, camera.budget_ms
    images, everything = _views(camera), candidates(camera, precisions())
    defaults = everything[0].auc
    cheapest = min(everything, key=lambda each: (each.scale, each.max_keypoints, each.precision != "int8", each.radius))
    # Twice, so that a moment of other load does not decide.
    bottom = min((Timed(cheapest, measure(cheapest, camera, images)) for _ in range(2)), key=lambda each: each.ms)
    if bottom.ms > budget:
        return Search(None, [bottom], defaults)
    timed: list[Timed] = []
    with tqdm(total=len(everything), desc=f"settings for {camera.rate:g} Hz", unit="setting", leave=False) as progress:
        for candidate in everything:
            progress.update()
            if candidate == cheapest or any(candidate.no_faster_than(each.candidate) for each in timed):
                continue
            if time.monotonic() > end:
                return Search(bottom, [*timed, bottom], defaults, complete=False)
            timed.append(Timed(candidate, measure(candidate, camera, images)))
            if timed[-1].ms <= budget:
                return Search(_with_threads(timed[-1], camera, images), timed, defaults)
    return Search(_with_threads(bottom, camera, images), [*timed, bottom], defaults)


def precisions() -> dict[str, str]:
    """The precision behind each value of the parameter: the automatic choice, and int8 as an alternative to bf16."""
    automatic = Extractor.load(max_keypoints=1).backend.precision
    return {"auto": automatic} | ({"int8": "int8"} if automatic == "bf16" else {})


def _with_threads(found: Timed, camera: CameraLoad, images: Sequence[Image]) -> Timed:
    """The candidate with the fastest number of threads; 0, one per core, unless another is clearly faster."""
    counts = (1 << power for power in range((processor.cores() - 1).bit_length()))
    others = [replace(found.candidate, threads=count) for count in counts]
    best = min(
        [Timed(other, measure(other, camera, images)) for other in others], key=lambda each: each.ms, default=found
    )
    return best if best.ms < CLEARLY * found.ms else found


def measure(candidate: Candidate, camera: CameraLoad, images: Sequence[Image]) -> float:
    """The 90th percentile of the milliseconds from a grey image, or pair, to its matches.

    Timing stops after the first images if even the fastest of them took too long.
    """
    extractor = Extractor.load(
        None,
        candidate.max_keypoints,
        precision=candidate.precision,
        scale=candidate.scale,
        threads=candidate.threads,
    )
    front_end = FrontEnd(extractor, FrontEndOptions(radius=candidate.radius))
    times: list[float] = []
    end = float("inf")
    for index in itertools.count():
        started = time.perf_counter()
        right = RightImage(images[(index + 1) % len(images)]) if camera.stereo else None
        front_end.process(images[index % len(images)], index, right=right)
        times.append(1e3 * (time.perf_counter() - started))
        if len(times) == WARM_UP:
            end = time.perf_counter() + SECONDS
        elif len(times) >= WARM_UP + FEWEST and (time.perf_counter() > end or min(times[WARM_UP:]) > camera.budget_ms):
            break
    return float(np.percentile(times[WARM_UP:], 90))


def _views(camera: CameraLoad) -> list[Image]:
    """The images of a camera that moves over a photograph and back."""
    end = 8 * STEP
    photo = photographs(camera.height + end, camera.width + end)[0]
    starts = (*range(0, end, STEP), *range(end, 0, -STEP))
    return [np.ascontiguousarray(photo[at : at + camera.height, at : at + camera.width]) for at in starts]
