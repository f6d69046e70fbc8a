"""Effects of verification and bridges on tracks, on sequences with known poses, without a motion window.

python -m benchmarks.selection path/to/sequences    # a folder of KITTI's or 7-Scenes' layout each
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common import parser, save
from silk_ros import Extractor, Features, Matches, match
from silk_ros.evaluation.datasets.posed import open_sequence
from silk_ros.evaluation.methods.base import DEFAULT_PRECISION
from silk_ros.evaluation.options import DatasetError
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE, FrontEndOptions
from silk_ros.frontend import FrontEnd
from silk_ros.geometry.camera import Camera
from silk_ros.geometry.epipolar import epipolar_distance, fundamental_from_poses
from silk_ros.verification import Verification

# Options of the front-end, by the name of the variant.
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "fundamental": {"verification": Verification("fundamental")},
    "essential": {"verification": Verification("essential")},
    "bridges": {"bridge": True},
    "essential, bridges": {"verification": Verification("essential"), "bridge": True},
}
OLD = 5  # least number of images of a long track
CORRECT = 1.5  # pixels from the true epipolar line
Row = dict[str, float]


class Found:
    """Takes the place of an extractor that ran beforehand, so that the front-end's time does not include it.

    matches: whether it matches too, as a backend that does so by itself.
    """

    scale = CAMERA_SCALE
    features: Features

    def __init__(self, matches: bool = False) -> None:
        self._matches = matches

    def __call__(self, image: NDArray[np.uint8]) -> Features:
        return self.features

    def extract_and_match(self, image: NDArray[np.uint8], previous: Features | None) -> tuple[Features, Matches | None]:
        return self.features, match(self.features, previous) if self._matches and previous is not None else None


def measure(folder: Path, extract: Callable[[NDArray[np.uint8]], Features], **settings: Any) -> Row:
    """Means over a sequence: matches of consecutive frames, those on their true epipolar lines, long tracks, and ms.

    extract: an extractor. settings: options of the front-end.
    """
    sequence = open_sequence(folder)
    height, width = sequence[0].image.shape
    camera = Camera(width, height, sequence.matrix, np.zeros(5))
    found = Found()
    front_end = FrontEnd(cast(Extractor, found), FrontEndOptions(**settings, radius=0, refinement="none"))
    rows = []
    for index in tqdm(range(len(sequence)), desc=f"{folder.name}, {settings}", leave=False):
        image = sequence[index].image
        found.features = extract(image)
        start = time.perf_counter()
        step = front_end.process(image, index, camera)
        milliseconds = 1e3 * (time.perf_counter() - start)
        if step.previous is None:
            continue
        now, before = step.matches.indices.T
        fundamental = fundamental_from_poses(sequence.matrix, sequence.poses[index], sequence.poses[index - 1])
        points = step.frame.features.keypoints[now], step.previous.features.keypoints[before]
        right = epipolar_distance(fundamental, *points) <= CORRECT
        rows.append((len(right), right.sum(), milliseconds, (step.frame.tracks.ages >= OLD).sum()))
    count, correct, times, old = np.array(rows, float).T
    return {
        "matches": round(float(count.mean()), 1),
        "right": round(float(correct.mean()), 1),
        "share": round(float(correct.sum() / count.sum()), 4),
        "long tracks": round(float(old[OLD:].mean()), 1),
        "ms": round(float(np.median(times)), 2),
    }


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, help="folder of sequences")
    options = arguments.parse_args()
    extractor = Extractor.load(None, CAMERA_MAX_KEYPOINTS, precision=DEFAULT_PRECISION, scale=CAMERA_SCALE)
    results: dict[str, dict[str, Row]] = {}
    for folder in sequences(options.data):
        results[folder.name] = {name: measure(folder, extractor, **settings) for name, settings in VARIANTS.items()}
        for name, row in results[folder.name].items():
            print(f"{folder.name}, {name}: {row}")
    save("selection", {"verification and tracks": results})


def sequences(data: Path) -> Iterator[Path]:
    """The folders that hold a sequence with known poses."""
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        try:
            open_sequence(folder)
        except DatasetError:
            continue
        yield folder


if __name__ == "__main__":
    main()
