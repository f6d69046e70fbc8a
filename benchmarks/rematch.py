"""Published features, followed from image to image and matched again some images later, with and without refinement.

python -m benchmarks.rematch path/to/sequences    # a folder of KITTI's or 7-Scenes' layout each; the flight comes first

A program downstream that matches the features of key frames by their descriptors needs positions that the descriptors
describe. Shares are of mutual nearest neighbours, those within 1.5 px of their true epipolar line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common import parser, save
from benchmarks.selection import CORRECT, Row, sequences
from silk_ros import Extractor, Features, match
from silk_ros.evaluation.datasets.posed import open_sequence
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE, FrontEndOptions
from silk_ros.frontend import FrontEnd
from silk_ros.geometry.epipolar import epipolar_distance, fundamental_from_poses
from silk_ros.images.flight import SyntheticFlight
from silk_ros.refinement import METHODS
from silk_ros.step import Step

FLIGHT_IMAGES, FLIGHT_RATE = 125, 30.0  # frames, Hz
GAPS = (3, 10, 20)  # images between two that are matched again
EVERY = 6  # images between two that are matched with later ones
WARM = 15  # images after which tracks are as old as they get between key frames; at most a third of a sequence
AGES = (30, 100)  # images that long tracks were seen in


class Sequence(NamedTuple):
    """Images (H, W) uint8 with their poses (N, 4, 4), camera-to-world, and the intrinsics (3, 3)."""

    name: str
    images: list[NDArray[np.uint8]]
    poses: list[NDArray[np.float64]]
    matrix: NDArray[np.float64]

    def distance(
        self, index: int, points: NDArray[np.float32], index_before: int, points_before: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Distances (N,) of points of one image from the true epipolar lines of points of another, in pixels."""
        fundamental = fundamental_from_poses(self.matrix, self.poses[index], self.poses[index_before])
        return epipolar_distance(fundamental, points, points_before)


def loaded(data: Path) -> Iterator[Sequence]:
    """The flight, and the sequences of a folder."""
    flight, moments = SyntheticFlight(), [index / FLIGHT_RATE for index in range(FLIGHT_IMAGES)]
    images, poses = [flight.render(moment) for moment in moments], [flight.pose(moment) for moment in moments]
    yield Sequence("flight", images, poses, flight.camera.matrix)
    for folder in sequences(data):
        posed = open_sequence(folder)
        images = [posed[index].image for index in range(len(posed))]
        yield Sequence(folder.name, images, list(posed.poses), posed.matrix)


def follow(sequence: Sequence, method: str, extractor: Extractor) -> Row:
    """Matches from image to image, tracks, how far keypoints leave their rows, and the shares of matches made again."""
    front_end, published = FrontEnd(extractor, FrontEndOptions(refinement=method)), list[Features]()
    errors, offsets, ages = list[NDArray](), list[NDArray](), dict[int, int]()
    warm = min(WARM, len(sequence.images) // 3)
    for index, image in enumerate(tqdm(sequence.images, desc=f"{sequence.name}, {method}", leave=False)):
        step: Step = front_end.process(image, index)
        frame = step.frame
        published.append(frame.features)
        ages.update(zip(frame.tracks.ids.tolist(), frame.tracks.ages.tolist()))
        if step.previous is None:
            continue
        now, before = step.matches.indices.T
        points = frame.features.keypoints[now], step.previous.features.keypoints[before]
        errors.append(sequence.distance(index, points[0], index - 1, points[1]))
        if index >= warm:
            offsets.append(np.linalg.norm(frame.offsets[now], axis=1))
    error, offset, age = np.concatenate(errors), np.concatenate(offsets), np.array(list(ages.values()))
    row = {
        "matches": round(len(error) / len(errors), 1),
        "right": round(float((error <= CORRECT).sum() / len(errors)), 1),
        "share": round(float((error <= CORRECT).mean()), 4),
        "median [px]": round(float(np.median(error)), 3),
        "offset, median [px]": round(float(np.median(offset)), 2),
        "offset, 0.9 [px]": round(float(np.quantile(offset, 0.9)), 2),
        "offset, largest [px]": round(float(offset.max()), 2),
        "track length": round(float(age[age >= 2].mean()), 2),
        **{f"tracks of {least}": float((age >= least).sum()) for least in AGES},
    }
    for gap in GAPS:
        row |= match_again(sequence, published, gap, warm)
    return row


def match_again(sequence: Sequence, published: list[Features], gap: int, warm: int) -> Row:
    """The share of mutual nearest neighbours, `gap` images apart, that is right, and the median error of all."""
    errors = [np.empty(0)]
    for before in range(warm, len(published) - gap, EVERY):
        a, b = published[before + gap], published[before]
        now, then = match(a, b).indices.T
        errors.append(sequence.distance(before + gap, a.keypoints[now], before, b.keypoints[then]))
    error = np.concatenate(errors)
    if not len(error):
        return {}
    return {
        f"share {gap} apart": round(float((error <= CORRECT).mean()), 4),
        f"median {gap} apart [px]": round(float(np.median(error)), 3),
    }


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, help="folder of sequences")
    options = arguments.parse_args()
    extractor = Extractor.load(max_keypoints=CAMERA_MAX_KEYPOINTS, scale=CAMERA_SCALE)
    rows: dict[str, dict[str, Row]] = {}
    for sequence in loaded(options.data):
        rows[sequence.name] = {method: follow(sequence, method, extractor) for method in METHODS}
        for method, row in rows[sequence.name].items():
            print(f"{sequence.name}, {method}: {row}", flush=True)
    save("rematch", {"sequences": rows})


if __name__ == "__main__":
    main()
