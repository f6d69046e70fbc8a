"""The rotation and the change of scale at which features stop matching, on views made from single images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ...images.sampling import evenly_spaced
from ..datasets.gray_images import Image, load_images, resize, resize_shorter_edge
from ..datasets.hpatches import SHORTER_EDGE, find_sequences, is_hpatches
from ..methods.base import Method
from ..metrics import share_within
from ..options import DatasetError, Options
from ..results import Curve, Picture, Row, TaskResult
from .homography import match_pair

ANGLES = tuple(np.arange(0.0, 181, 15).tolist())  # degrees
SCALES = tuple((2 ** np.linspace(-1, 1, 9)).tolist())
KEPT = 0.5  # share of the unchanged view's correct matches below which features count as lost
MEASURES = ("MMA@1", "MMA@3", "correct matches", "repeatability@1")
_KERNEL = 4  # pixels around a point that Lanczos interpolation reads

# Views of an image, each with the homography (3, 3) from pixels of the first image to its own.
Views = Iterator[tuple[Image, NDArray[np.float64]]]


def photographs(folder: Path, options: Options, skip: Sequence[str] = ()) -> list[Image]:
    """The images of a folder, or the first image of each sequence of one in HPatches' layout; grey (H, W), resized.

    Sequences named in `skip` are left out. Raises DatasetError as `find_sequences` and `load_images` do, and for a name
    in `skip` if the folder holds no sequences.
    """
    if is_hpatches(folder):
        return [sequence.read()[0] for sequence in find_sequences(folder, options.shorter_edge or SHORTER_EDGE, skip)]
    if skip:
        raise DatasetError(f"no sequence '{skip[0]}' to skip in '{folder}': it holds no sequences")
    edge = options.shorter_edge
    return [resize_shorter_edge(image, edge)[0] if edge else image for image in load_images(folder)]


def evaluate_rotation(
    method: Method, root: Path, options: Options, skip: Sequence[str] = (), angles: Sequence[float] = ANGLES
) -> TaskResult:
    """Match the `photographs` of a folder with themselves, rotated by `angles` in degrees, counter-clockwise.

    `widest angle` is the largest rotation up to which the share of correct matches (3 px) stays at least half of that
    without rotation. The other columns are means over the angles.
    """
    return _evaluate(_ROTATION, method, root, options, skip, angles)


def evaluate_scale(
    method: Method, root: Path, options: Options, skip: Sequence[str] = (), scales: Sequence[float] = SCALES
) -> TaskResult:
    """Match the `photographs` of a folder with themselves at other scales; scale 2 shows everything twice as large.

    `smallest scale` and `largest scale` are the limits within which the share of correct matches (3 px) stays at least
    half of that at scale 1. The other columns are means over the scales.
    """
    return _evaluate(_SCALE, method, root, options, skip, scales)


def rotated_views(image: Image, angles: Sequence[float]) -> tuple[Image, Views]:
    """The central square of an image, and the same square of the image rotated about its centre.

    The square is small enough that no view shows anything outside the image, whatever the angle.
    """
    height, width = image.shape
    side = int((min(height, width) - 2 * _KERNEL) / np.sqrt(2))
    x, y = (width - side) // 2, (height - side) // 2
    to_image = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)

    def views() -> Views:
        for angle in angles:
            homography = np.eye(3)
            homography[:2] = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
            from_view = (to_image @ np.linalg.inv(homography))[:2]
            turned = cv2.warpAffine(image, from_view, (side, side), flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP)
            yield np.asarray(turned, np.uint8), homography

    return np.ascontiguousarray(image[y : y + side, x : x + side]), views()


def scaled_views(image: Image, scales: Sequence[float]) -> tuple[Image, Views]:
    """An image shrunk by the largest scale, and the image at each scale relative to that.

    No view is therefore enlarged: larger scales show real detail, as a camera does when it comes closer.
    """
    height, width = image.shape

    def at(scale: float) -> tuple[Image, NDArray[np.float64]]:
        factor = scale / max(scales)
        return resize(image, (max(1, round(width * factor)), max(1, round(height * factor))))

    first, to_first = at(1.0)
    return first, ((view, to_view @ np.linalg.inv(to_first)) for view, to_view in map(at, scales))


def reach(values: Sequence[float], shares: NDArray[np.float64], unchanged: float) -> tuple[float, float]:
    """The limits of the interval of sorted values around `unchanged` in which at least KEPT of the share remains."""
    start = low = high = list(values).index(unchanged)
    enough = (shares >= KEPT * shares[start]) & (shares > 0)
    while low > 0 and enough[low - 1]:
        low -= 1
    while high < len(values) - 1 and enough[high + 1]:
        high += 1
    return values[low], values[high]


@dataclass(frozen=True)
class _Change:
    """A way to change a view by one number. `limits` makes columns of the ends of the interval of `reach`."""

    task: str
    x_label: str
    caption: str
    unchanged: float
    make_views: Callable[[Image, Sequence[float]], tuple[Image, Views]]
    limits: Callable[[float, float], Row]


_ROTATION = _Change("rotation", "angle [degrees]", "{:g}°", 0.0, rotated_views, lambda _, high: {"widest angle": high})
_SCALE = _Change(
    "scale", "scale", "x{:.2g}", 1.0, scaled_views, lambda low, high: {"smallest scale": low, "largest scale": high}
)


def _evaluate(
    change: _Change, method: Method, root: Path, options: Options, skip: Sequence[str], values: Sequence[float]
) -> TaskResult:
    images = photographs(root, options, skip)
    values = sorted({change.unchanged, *values})
    pictured = evenly_spaced(len(values), options.pictures)  # of the first image
    sums = np.zeros((len(values), len(MEASURES)))
    pictures: list[Picture] = []
    with tqdm(total=len(images) * len(values), desc=change.task, unit="pair", leave=False) as progress:
        for number, image in enumerate(images):
            first, views = change.make_views(image, values)
            reference = method.extract(first).best(options.top_k)
            for index, (view, homography) in enumerate(views):
                matched = match_pair(method, (first, view), reference, homography, options)
                mma1, mma3 = (share_within(matched.errors, threshold) for threshold in (1, 3))
                sums[index] += mma1, mma3, mma3 * len(matched.errors), matched.repeatability[1]  # MEASURES
                if number == 0 and index in pictured:
                    pictures.append(matched.picture(f"{method.name}, {change.caption.format(values[index])}"))
                progress.update()
    means = sums / len(images)
    limits = change.limits(*reach(values, means[:, MEASURES.index("MMA@3")], change.unchanged))
    edges = {min(image.shape) for image in images}
    return TaskResult(
        task=change.task,
        overall={method.name: limits | dict(zip(MEASURES, means.mean(axis=0).tolist()))},
        settings={
            "images": len(images),
            "shorter_edge": min(edges) if len(edges) == 1 else f"{min(edges)} to {max(edges)}",
            "skipped": list(skip),
        },
        curves=[
            Curve(f"{measure} over {change.task}", change.x_label, measure, {method.name: (values, column.tolist())})
            for measure, column in zip(MEASURES, means.T)
        ],
        pictures=pictures,
    )
