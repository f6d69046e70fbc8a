"""How far a view may turn or zoom before features no longer match: views made from single images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from silk_ros.images.source import IMAGE_SUFFIXES

from ...images.sampling import evenly_spaced
from ..datasets.hpatches import read_image, resize, resize_shorter_edge
from ..methods.load import Method
from ..metrics import share_within
from ..options import DatasetError, Options
from ..results import Curve, Picture, Row, TaskResult
from .homography import draw_matched_pair, match_pair

ANGLES = tuple(float(angle) for angle in range(0, 181, 15))  # degrees
SCALES = tuple(float(scale) for scale in 2 ** np.linspace(-1, 1, 9))
KEPT = 0.5  # of the share of correct matches in an unchanged view: below it, features count as lost
MEASURES = ("MMA@1", "MMA@3", "correct matches", "repeatability@1")
_KERNEL = 4  # pixels around a point that Lanczos interpolation looks at
_LIMITING = MEASURES.index("MMA@3")

Image = NDArray[np.uint8]
# Views of an image, each with the homography (3, 3) from pixels of the first image to its own.
Views = Iterator[tuple[Image, NDArray[np.float64]]]


def load_images(folder: Path) -> list[Image]:
    """The images of a folder by name, grey (H, W). Raises DatasetError if there are none, or one cannot be read."""
    if not folder.is_dir():
        raise DatasetError(f"no folder '{folder}': it should hold images")
    images = [read_image(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise DatasetError(f"no images in '{folder}': it should hold {', '.join(sorted(IMAGE_SUFFIXES))} files")
    return images


def evaluate_rotation(
    methods: Sequence[Method], images: Sequence[Image], options: Options, angles: Sequence[float] = ANGLES
) -> TaskResult:
    """Match grey images (H, W) with themselves turned in the image plane, by `angles` in degrees, counter-clockwise.

    `widest angle` is how far they may turn until less than half the share of correct matches (3 px) is left of what it
    is unturned. The other columns are means over the angles.
    """
    return _evaluate(_ROTATION, methods, images, options, angles)


def evaluate_scale(
    methods: Sequence[Method], images: Sequence[Image], options: Options, scales: Sequence[float] = SCALES
) -> TaskResult:
    """Match grey images (H, W) with themselves at other scales; 2 shows everything twice as large.

    `smallest scale` and `largest scale` are how far they may shrink and grow until less than half the share of correct
    matches (3 px) is left of what it is unscaled. The other columns are means over the scales.
    """
    return _evaluate(_SCALE, methods, images, options, scales)


def rotated_views(image: Image, angles: Sequence[float]) -> tuple[Image, Views]:
    """The central square of an image, and the same square of the image turned about its centre.

    The square is small enough to show nothing from beyond the image at any angle.
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

    So no view is enlarged: what grows shows real detail, as it does when a camera comes closer.
    """
    height, width = image.shape

    def at(scale: float) -> tuple[Image, NDArray[np.float64]]:
        factor = scale / max(scales)
        return resize(image, (max(1, round(width * factor)), max(1, round(height * factor))))

    first, to_first = at(1.0)
    return first, ((view, to_view @ np.linalg.inv(to_first)) for view, to_view in map(at, scales))


def reach(values: Sequence[float], shares: NDArray[np.float64], unchanged: float) -> tuple[float, float]:
    """The lowest and highest of the sorted values, around the `unchanged` one, up to which enough (KEPT) is left."""
    start = low = high = list(values).index(unchanged)
    enough = (shares >= KEPT * shares[start]) & (shares > 0)
    while low > 0 and enough[low - 1]:
        low -= 1
    while high < len(values) - 1 and enough[high + 1]:
        high += 1
    return values[low], values[high]


@dataclass(frozen=True)
class _Change:
    """A way to change a view by one number. `limits` makes columns of the lowest and highest value within reach."""

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
    change: _Change, methods: Sequence[Method], images: Sequence[Image], options: Options, values: Sequence[float]
) -> TaskResult:
    values = sorted({change.unchanged, *values})
    sums = {method.name: np.zeros((len(values), len(MEASURES))) for method in methods}
    pictured = evenly_spaced(len(values), options.pictures)  # of the first image
    pictures: list[Picture] = []
    edges = set()
    with tqdm(total=len(images) * len(values), desc=change.task, unit="pair", leave=False) as progress:
        for number, image in enumerate(images):
            if options.shorter_edge is not None:
                image, _ = resize_shorter_edge(image, options.shorter_edge)
            edges.add(min(image.shape))
            first, views = change.make_views(image, values)
            references = [method.extract(first).best(options.top_k) for method in methods]
            for index, (view, homography) in enumerate(views):
                for method, reference in zip(methods, references):
                    found = reference, method.extract(view).best(options.top_k)
                    matched = match_pair(method, (first, view), found, homography, options)
                    shares = [share_within(matched.errors, threshold) for threshold in (1, 3)]
                    correct = shares[1] * len(matched.errors)
                    sums[method.name][index] += [*shares, correct, matched.repeatability[1]]
                    if number == 0 and index in pictured:
                        what = change.caption.format(values[index])
                        pictures.append(draw_matched_pair(method, (first, view), matched, what))
                progress.update()
    means = {name: total / len(images) for name, total in sums.items()}
    return TaskResult(
        task=change.task,
        overall={
            name: change.limits(*reach(values, measured[:, _LIMITING], change.unchanged))
            | dict(zip(MEASURES, measured.mean(axis=0).tolist()))
            for name, measured in means.items()
        },
        settings={
            "images": len(images),
            "shorter_edge": min(edges) if len(edges) == 1 else f"{min(edges)} to {max(edges)}",
            "top_k": options.top_k,
            "ratio": options.ratio,
            "double_softmax": options.double_softmax,
        },
        curves=[
            Curve(
                f"{measure} over {change.task}",
                change.x_label,
                measure,
                {name: (values, measured[:, column].tolist()) for name, measured in means.items()},
            )
            for column, measure in enumerate(MEASURES)
        ],
        pictures=pictures,
    )
