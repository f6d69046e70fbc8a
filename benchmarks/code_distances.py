"""Hamming distances of the right and of the nearest wrong codes between the frames of a camera.

python -m benchmarks.code_distances eval/kitti eval/7scenes/*.color.jpg=5 --model models/silk_vggnp_mu.onnx

Back-ends take a match whose distance is below a fixed number. SOURCE=N pairs every N-th frame with the next one. The
keypoints are those of the preset orb_slam. Optical flow, searched there and back in images of full size, tells where a
keypoint moved: the right codes are those of keypoints up to 2 pixels from there, and the wrong ones of those beyond 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common import parser, save, table
from silk_ros.binary import BITS, Codes, binary_code, unit_vectors
from silk_ros.geometry.epipolar import estimated_inliers
from silk_ros.images.sequence import read_frames
from silk_ros.images.sources import open_recorded
from silk_ros.paths import default_model
from training.slam_features import slam_extractor

RIGHT, WRONG = 2.0, 4.0  # pixels
RETURN = 0.5  # pixels from the start after the flow there and back, at most
ON_LINE = 1.0  # pixels from the epipolar line that most of the flow agrees with
FLOW: dict[str, Any] = {"winSize": (21, 21), "maxLevel": 5, "criteria": (3, 30, 0.01)}
LIMITS = (30, 35, 40, 45, 50, 60, 70, 80, 100)  # bits
FEW = 0.12  # share of keypoints whose nearest wrong code is within a limit, where the right ones are compared
ORB_KEYPOINTS = 2000

Image = NDArray[np.uint8]
Points = NDArray[np.float32]
Extract = Callable[[Image], tuple[Points, Codes]]


class Distances(NamedTuple):
    """Bits between a code and the nearest right one (N,), and the nearest wrong one (N,), of the other frame."""

    right: NDArray[np.float32]
    wrong: NDArray[np.float32]


def moved(image: Image, following: Image, points: Points) -> Points:
    """Positions (N, 2) of points in the following image; NaN where the flow is not sure."""
    flow, found, _ = cv2.calcOpticalFlowPyrLK(image, following, points[:, None], np.empty(0, np.float32), **FLOW)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(following, image, flow, np.empty(0, np.float32), **FLOW)
    there, distance = np.asarray(flow[:, 0], np.float32), np.linalg.norm(back[:, 0] - points, axis=1)
    sure = np.flatnonzero((found[:, 0] > 0) & (returned[:, 0] > 0) & (distance <= RETURN))
    sure = sure[estimated_inliers(there[sure], points[sure], ON_LINE)]
    positions = np.full_like(points, np.nan)
    positions[sure] = there[sure]
    return positions


def distances(frames: Iterable[Image], extract: Extract) -> Distances:
    """Of all keypoints of neighbouring frames whose right one is known."""
    described = ((image, *extract(image)) for image in frames)
    rows = [_of_pair(*first, *second) for first, second in pairwise(described)]
    return Distances(*(np.concatenate(each) for each in zip(*rows)))


def _of_pair(
    image: Image, points: Points, codes: Codes, following: Image, next_points: Points, next_codes: Codes
) -> Distances:
    there = moved(image, following, points)
    sure = np.flatnonzero(np.isfinite(there).all(axis=1))
    bits = BITS / 2 * (1 - unit_vectors(codes[sure]) @ unit_vectors(next_codes).T)
    apart = np.linalg.norm(there[sure, None] - next_points, axis=2)
    right, wrong = (np.where(each, bits, np.inf).min(axis=1) for each in (apart <= RIGHT, apart > WRONG))
    known = np.isfinite(right)
    return Distances(right[known], wrong[known])


def summary(found: Distances) -> dict[str, float]:
    """Shares of the codes whose right one is nearest, and that have a right and a wrong one within each limit."""
    limit = float(np.quantile(found.wrong, FEW))
    shares = {
        f"{name} within {bits}": float((values <= bits).mean())
        for bits in LIMITS
        for name, values in zip(Distances._fields, found)
    }
    means = {
        "keypoints": len(found.right),
        "right is nearest": float((found.right < found.wrong).mean()),
        "median right": float(np.median(found.right)),
        "median wrong": float(np.median(found.wrong)),
        f"limit with wrong {FEW:g}": limit,
        f"right where wrong is {FEW:g}": float((found.right <= limit).mean()),
    }
    return {name: round(value, 3) for name, value in (means | shares).items()}


def orb() -> Extract:
    """OpenCV's ORB."""
    detector = cv2.ORB_create(ORB_KEYPOINTS)  # type: ignore[attr-defined]

    def extract(image: Image) -> tuple[Points, Codes]:
        keypoints, codes = detector.detectAndCompute(image, None)
        return np.array([keypoint.pt for keypoint in keypoints], np.float32).reshape(-1, 2), codes

    return extract


def silk(model: Path) -> Extract:
    """A network with its code. Raises what `slam_extractor` and `binary_code` raise."""
    extractor, code = slam_extractor(model), binary_code(model)

    def extract(image: Image) -> tuple[Points, Codes]:
        features = extractor(image)
        return features.keypoints, code.encode(features.descriptors)

    return extract


def images(source: str) -> list[Image]:
    """The frames of PATH or PATH=N, grey."""
    path, equals, step = source.rpartition("=")
    frames = read_frames(open_recorded(path if equals else source), int(step) if equals else 1)
    return [frame.gray for frame in tqdm(frames, desc=f"reading {source}", unit="image", leave=False)]


def _table(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    columns = ("right is nearest", "median right", "median wrong", *(f"{n} within 50" for n in Distances._fields))
    cells: list[Sequence[str]] = [
        [source, name, *(f"{row[column]:g}" for column in columns)]
        for source, methods in rows.items()
        for name, row in methods.items()
    ]
    return table(("frames", "codes", *columns), cells, 2)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("sources", nargs="+", metavar="SOURCE[=N]", help="images of one camera, every N-th of them")
    arguments.add_argument("--model", type=Path, default=default_model(), help="network with a code (the shipped one)")
    options = arguments.parse_args()
    methods = {"ORB": orb(), "binary256": silk(options.model)}
    results: dict[str, dict[str, dict[str, float]]] = {}
    for source in options.sources:
        frames = images(source)
        results[source] = {name: summary(distances(frames, extract)) for name, extract in methods.items()}
        for name, row in results[source].items():
            print(f"{source}, {name}: {row}")
    print(_table(results))
    save("code_distances", {"sources": results})


if __name__ == "__main__":
    main()
