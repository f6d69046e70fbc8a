"""The shipped features beside SIFT and ORB on image pairs with known homographies, in one run.

python -m benchmarks.quality DATA [--model FILE]

DATA has a folder per sequence in the layout of HPatches: 1.png ... n.png and H_1_2 ... H_1_n (or .jpg, .ppm). As in the
paper's Sec. 4.2 the shorter edge is 480, matches are mutual nearest neighbours, and homographies come from RANSAC.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common import save
from silk_ros import Extractor, match
from silk_ros.evaluation.homography import corner_error, repeatability, reprojection_error

SHORTER_EDGE = 480
KEYPOINTS = 10_000
THRESHOLD = 1.0  # pixels

Points = NDArray[np.float32]
# Two images -> their keypoints and the rows of these that match.
Method = Callable[[NDArray[np.uint8], NDArray[np.uint8]], tuple[Points, Points, NDArray[np.int32]]]


def silk(extractor: Extractor) -> Method:
    def run(image0: NDArray[np.uint8], image1: NDArray[np.uint8]) -> tuple[Points, Points, NDArray[np.int32]]:
        a, b = extractor(image0), extractor(image1)
        return a.keypoints, b.keypoints, match(a, b).indices

    return run


def opencv(detector: cv2.Feature2D, norm: int) -> Method:
    matcher = cv2.BFMatcher(norm, crossCheck=True)

    def run(image0: NDArray[np.uint8], image1: NDArray[np.uint8]) -> tuple[Points, Points, NDArray[np.int32]]:
        (points0, descriptors0), (points1, descriptors1) = (
            detector.detectAndCompute(i, None) for i in (image0, image1)
        )
        pairs = np.array([(m.queryIdx, m.trainIdx) for m in matcher.match(descriptors0, descriptors1)], np.int32)
        left, right = (np.array([point.pt for point in points], np.float32) for points in (points0, points1))
        return left, right, pairs.reshape(-1, 2)

    return run


def read_scaled(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A grey image with its shorter edge at 480, and the transform (3, 3) from its original pixels."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError(f"cannot read the image '{path}'")
    height, width = image.shape
    factor = SHORTER_EDGE / min(height, width)
    size = round(width * factor), round(height * factor)
    x, y = size[0] / width, size[1] / height
    transform = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8), transform


def pairs(root: Path) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]]:
    """Sequence, first image, another image, and the homography between them, all at evaluation size."""
    for homography_path in sorted(root.glob("*/H_1_*")):
        folder, index = homography_path.parent, homography_path.name.rsplit("_", 1)[1]
        first, other = (next(folder.glob(f"{name}.[pj]*")) for name in ("1", index))
        (image0, scale0), (image1, scale1) = read_scaled(first), read_scaled(other)
        yield folder.name, image0, image1, scale1 @ np.loadtxt(homography_path) @ np.linalg.inv(scale0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of sequences in HPatches layout")
    parser.add_argument("--model", type=Path, help="ONNX file to judge (the shipped one)")
    parser.add_argument("--skip", nargs="*", default=[], metavar="SEQUENCE", help="sequences to leave out")
    options = parser.parse_args()
    methods = {
        "SiLK": silk(Extractor.load(options.model, max_keypoints=KEYPOINTS)),
        "SIFT": opencv(cv2.SIFT.create(KEYPOINTS), cv2.NORM_L2),
        "ORB": opencv(cv2.ORB.create(KEYPOINTS), cv2.NORM_HAMMING),
    }
    rows: dict[str, list[list[float]]] = {name: [] for name in methods}
    chosen = [pair for pair in pairs(options.data) if pair[0] not in options.skip]
    if not chosen:
        print(f"no H_1_2 files below '{options.data}': give a folder of sequences in HPatches layout", file=sys.stderr)
        return 1
    for _, image0, image1, homography in tqdm(chosen, desc="pairs"):
        size0, size1 = image0.shape[::-1], image1.shape[::-1]
        for name, method in methods.items():
            points0, points1, matched = method(image0, image1)
            left, right = points0[matched[:, 0]], points1[matched[:, 1]]
            errors = reprojection_error(homography, left, right)
            corners = corner_error(homography, left, right, size0)
            accuracy = [float((errors <= limit).mean()) if len(errors) else 0.0 for limit in (THRESHOLD, 3.0)]
            repeated = repeatability(homography, points0, points1, size0, size1, THRESHOLD)
            rows[name].append([repeated, corners <= 1, corners <= 3, *accuracy, len(points0), len(matched)])
    columns = ("repeatability@1", "HA@1", "HA@3", "MMA@1", "MMA@3", "keypoints", "matches")
    print(f"{'':6}" + "".join(f"{column:>17}" for column in columns))
    table = {name: dict(zip(columns, np.mean(values, axis=0).round(3).tolist())) for name, values in rows.items()}
    for name, values in table.items():
        print(f"{name:6}" + "".join(f"{value:17.3f}" for value in values.values()))
    save("quality", {"pairs": len(chosen), "skipped": options.skip, "methods": table})
    return 0


if __name__ == "__main__":
    sys.exit(main())
