"""Time from an image to keypoints and descriptors: every backend in every precision, and peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...backends import PRECISIONS, BackendUnavailable
from ...extractor import Extractor
from ..datasets.gray_images import Image, read_image
from ..methods.load import load_method
from .timing import Quartiles, Rounds, interleaved

PEERS = ("orb", "sift", "xfeat")
GEMM = "GEMM"
GEMM_SIDE = 2048  # of the square matrices, large enough for BLAS to reach its full rate
PUBLISHED = "VGGnp-mu as published"


@dataclass(frozen=True)
class Timing:
    """One pipeline on one size of image.

    size: width and height. keypoints: requested number; `found` is the number returned.
    gflops: GFLOP/s by the published network's count of operations; of_gemm: its ratio to the rate of numpy's float32
    GEMM in the same rounds. Both are None for a peer.
    """

    pipeline: str
    peer: bool
    size: tuple[int, int]
    keypoints: int
    found: int
    ms: Quartiles
    gflops: float | None
    of_gemm: float | None


@dataclass(frozen=True)
class Pipeline:
    """A backend in one of its precisions, with the shipped network."""

    backend: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.backend} {self.precision}"

    def load(self, keypoints: int, threads: int) -> Extractor:
        return Extractor.load(max_keypoints=keypoints, backend=self.backend, precision=self.precision, threads=threads)


def automatic() -> str:
    """The backend and precision that the node selects on this machine, and the reason."""
    backend = Extractor.load(max_keypoints=1).backend
    reason = f": {backend.reason}" if backend.reason else ""
    return f"backend and precision auto: {backend.name} on {backend.device}, {backend.precision}{reason}"


def find_pipelines(backends: Sequence[str], image: Image, threads: int) -> tuple[list[Pipeline], dict[str, str]]:
    """The pipelines that run on this machine, each tried on an image, and the reasons why others do not.

    Raises ValueError, with the reasons, if none runs.
    """
    found: list[Pipeline] = []
    skipped: dict[str, str] = {}
    for backend in backends:
        for precision in PRECISIONS[backend]:
            pipeline = Pipeline(backend, precision)
            try:
                pipeline.load(1, threads)(image)
                found.append(pipeline)
            except BackendUnavailable as error:
                skipped[backend] = str(error)
                break
            except (OSError, ValueError, RuntimeError) as error:
                skipped[pipeline.name] = str(error)
    if not found:
        raise ValueError("; ".join(f"{name}: {reason}" for name, reason in skipped.items()))
    return found, skipped


def find_peers(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The peers that are installed, and the reasons why others do not load."""
    skipped: dict[str, str] = {}
    for name in names:
        try:
            load_method(name, 1)
        except ImportError as error:
            skipped[name] = str(error)
    return [name for name in names if name not in skipped], skipped


def gemm() -> Callable[[], Any]:
    """A large float32 product in numpy."""
    a, b = np.random.default_rng(0).random((2, GEMM_SIDE, GEMM_SIDE), dtype=np.float32)
    return partial(np.matmul, a, b, out=np.empty_like(a))


def measure_extraction(
    pipelines: Sequence[Pipeline],
    peers: Sequence[str],
    image: Image,
    keypoints: int,
    threads: int,
    repeats: int,
    rounds: Rounds,
) -> list[Timing]:
    """Time pipelines, peers and a GEMM in turn on a grey image (H, W)."""
    height, width = image.shape
    own: dict[str, Callable[[Image], Any]] = {each.name: each.load(keypoints, threads) for each in pipelines}
    others = {method.name: method.extract for method in (load_method(peer, keypoints) for peer in peers)}
    runs: dict[str, Callable[[], Any]] = {name: partial(extract, image) for name, extract in (own | others).items()}
    found = {name: len(run()) for name, run in runs.items()}
    runs[GEMM] = gemm()
    times = interleaved(runs, repeats, f"{width}x{height}, K = {keypoints}", rounds)
    peak = 2 * GEMM_SIDE**3 / times[GEMM]["median"] / 1e6
    timings = []
    for name, count in found.items():
        rate = published_flops(width, height) / times[name]["median"] / 1e6
        rates = (round(rate, 1), round(rate / peak, 3)) if name in own else (None, None)
        timings.append(Timing(name, name in others, (width, height), keypoints, count, times[name], *rates))
    return timings


def thread_counts(threads: int) -> list[int]:
    """1, 2, 4 and so on up to `threads`."""
    return sorted({*(1 << power for power in range(threads.bit_length())), threads})


def measure_threads(
    pipeline: Pipeline, image: Image, keypoints: int, threads: int, repeats: int, rounds: Rounds
) -> dict[int, Quartiles]:
    """Times of a pipeline with each of `thread_counts`, by their number."""
    runs = {count: partial(pipeline.load(keypoints, count), image) for count in thread_counts(threads)}
    return interleaved(runs, repeats, f"{pipeline.name}, threads", rounds)


def published_flops(width: int, height: int) -> float:
    """Operations of the published VGGnp-mu on an image; a multiplication with its addition counts as two.

    Every layer is counted at every position, descriptors included: 45.5 GFLOP at 640x480. The exported file needs
    fewer: it lacks channels that died in training, and describes the best keypoints only.
    """
    layers = [(9 * 64, 1), (9 * 64 * 64, 2), (2 * 9 * 64 * 32 + 32 * (1 + 32), 3)]  # weights, border in pixels
    return 2.0 * sum(weights * (width - 2 * border) * (height - 2 * border) for weights, border in layers)


def noise_image(width: int, height: int) -> Image:
    """Synthetic texture at all scales: noise at every octave, with a deviation of 45 grey levels."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width), np.float32)
    for octave in range(min(width, height).bit_length()):
        coarse = rng.normal(size=(-(-height >> octave), -(-width >> octave))).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 45 * (total - total.mean()) / total.std(), 0, 255).astype(np.uint8)


def resized_image(path: Path, width: int, height: int) -> Image:
    """The image of a file in grey, resized. Raises ValueError if it cannot be read."""
    return np.asarray(cv2.resize(read_image(path), (width, height), interpolation=cv2.INTER_AREA), np.uint8)
