"""What a matching radius and spread keypoints do to matches and odometry, on sequences with known poses.

python -m benchmarks.selection path/to/sequences    # a folder of KITTI's or 7-Scenes' layout each
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common import save
from silk_ros import Extractor, Features
from silk_ros.evaluation.epipolar import epipolar_distance, fundamental_from_poses
from silk_ros.evaluation.methods import DEFAULT_PRECISION, FloatMethod, Keypoints
from silk_ros.evaluation.odometry import evaluate_odometry
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.sequences import open_sequence
from silk_ros.frontend import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE, FrontEnd
from silk_ros.selection import Selection

RADII = (None, 120.0, 80.0, 60.0, 40.0, 20.0)  # pixels
RULES = {
    "best scores": Selection(),
    "NMS, 2 px": Selection(nms_radius=2),
    "NMS, 4 px": Selection(nms_radius=4),
    "20 of each 40x40": Selection(cell_size=40, max_per_cell=20),
    "10 of each 20x20": Selection(cell_size=20, max_per_cell=10),
    "NMS 2 px and 20 of each 40x40": Selection(2, 40, 20),
}
CORRECT = 1.5  # pixels from the true epipolar line
Row = dict[str, float]


class Spread(FloatMethod):
    """The shipped network with a rule for its keypoints."""

    def __init__(self, name: str, rule: Selection) -> None:
        self.name = name
        self._extractor = Extractor.load(
            None, CAMERA_MAX_KEYPOINTS, precision=DEFAULT_PRECISION, scale=CAMERA_SCALE, selection=rule
        )

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        features = self._extractor(image)
        return Keypoints(features.keypoints, features.scores, features.descriptors)


class Found:
    """Extracts beforehand, so that a front-end's own time is that of matching."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor

    def extract(self, image: NDArray[np.uint8]) -> None:
        self._features = self._extractor(image)

    def __call__(self, image: NDArray[np.uint8]) -> Features:
        return self._features


def matches_within(radius: float | None, folder: Path) -> Row:
    """Matches of a frame with the one before, how many lie on their true epipolar lines, and milliseconds."""
    sequence = open_sequence(folder)
    extractor = Extractor.load(None, CAMERA_MAX_KEYPOINTS, precision=DEFAULT_PRECISION, scale=CAMERA_SCALE)
    found = Found(extractor)
    front_end = FrontEnd(cast(Extractor, found), radius=radius)
    rows = []
    for index in tqdm(range(len(sequence)), desc=f"{folder.name}, radius {radius}", leave=False):
        image = sequence[index].image
        found.extract(image)
        start = time.perf_counter()
        step = front_end.process(image, index)
        milliseconds = 1e3 * (time.perf_counter() - start)
        if step.previous is None:
            continue
        now, before = step.matches.indices.T
        fundamental = fundamental_from_poses(sequence.matrix, sequence.poses[index], sequence.poses[index - 1])
        points = step.frame.features.keypoints[now], step.previous.features.keypoints[before]
        right = epipolar_distance(fundamental, *points) <= CORRECT
        rows.append((len(right), right.sum(), milliseconds))
    count, correct, times = np.array(rows, float).T
    return {
        "matches": round(float(count.mean()), 1),
        "right": round(float(correct.mean()), 1),
        "share": round(float(correct.sum() / count.sum()), 4),
        "ms": round(float(np.median(times)), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of sequences")
    parser.add_argument("--disparity-offset", type=float, help="as of evaluate odometry")
    options = parser.parse_args()
    radius: dict[str, dict[str, Row]] = {}
    spread: dict[str, dict[str, Row]] = {}
    odometry = Options(top_k=CAMERA_MAX_KEYPOINTS, pictures=0, disparity_offset=options.disparity_offset)
    for folder in sorted(path for path in options.data.iterdir() if path.is_dir()):
        try:
            open_sequence(folder)
        except DatasetError:
            continue
        radius[folder.name] = {str(value): matches_within(value, folder) for value in RADII}
        for value, row in radius[folder.name].items():
            print(f"{folder.name}, radius {value}: {row}")
        try:
            for name, rule in RULES.items():
                found = evaluate_odometry([Spread(name, rule)], folder, odometry).overall[name]
                row = {key: round(float(found[key]), 3) for key in ("drift [%]", "ATE [m]", "inliers", "matches")}
                spread.setdefault(folder.name, {})[name] = row
                print(f"{folder.name}, {name}: {row}")
        except DatasetError as error:
            print(f"no odometry: {error}")
    save("selection", {"matcher.radius": radius, "selection": spread})
    return 0


if __name__ == "__main__":
    sys.exit(main())
