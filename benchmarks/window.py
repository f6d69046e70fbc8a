"""Matches with and without a motion window (matcher.radius) and verification, on sequences with known poses.

python -m benchmarks.window path/to/sequences    # ten minutes; a folder of KITTI's or 7-Scenes' layout each

The synthetic flight is measured too. Features are those of the node's defaults. All settings see every image in turn.
Each sequence is taken as it is, with every second and third image only, and with sudden motions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from tqdm import tqdm

from benchmarks.common import interleaved, parser, save, verdict
from benchmarks.selection import CORRECT, Found, Row, sequences
from silk_ros import Extractor, match
from silk_ros.evaluation.datasets.posed import PosedSequence, open_sequence
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE, FrontEndOptions
from silk_ros.frontend import FrontEnd
from silk_ros.geometry.epipolar import epipolar_distance, fundamental_from_poses
from silk_ros.geometry.motion import back_project, motion_between, transform
from silk_ros.images.flight import SyntheticFlight
from silk_ros.step import Step
from silk_ros.verification import Verification

FLIGHT_RATE = 10.0  # Hz
PLACED = 3.0  # pixels from the true position
STEPS = {1: "every image", 2: "every 2nd", 3: "every 3rd"}
STILL, SUDDEN = 4, 8  # images of a camera that stands still, and images left out when it moves
FEW = 100  # right matches without a window, below which two images show different scenes
PERIOD = 10**8  # nanoseconds
REPEATS = 40  # of matching alone

SHARES = (8, 16, 32)  # parts of the image's width
EVERYWHERE, DEFAULT = "none", f"1/{round(1 / FrontEndOptions.radius)}"


class Setting(NamedTuple):
    """Options of the front-end, and whether the backend itself matches, as TensorRT does."""

    options: FrontEndOptions
    matched: bool = False


def settings() -> dict[str, Setting]:
    """The settings that are compared, by name; the first one is what the others are compared with."""
    radii = {EVERYWHERE: 0.0} | {f"1/{share}": 1 / share for share in SHARES}
    plain = {name: Setting(FrontEndOptions(radius=radius)) for name, radius in radii.items()}
    filtered = {f"{DEFAULT}, backend matches": Setting(FrontEndOptions(), matched=True)}
    verified = {
        f"{name}, fundamental": Setting(FrontEndOptions(radius=radius, verification=Verification("fundamental")))
        for name, radius in radii.items()
    }
    return plain | filtered | verified


@dataclass(frozen=True)
class Clip:
    """Images with known poses. depths: of an image by its index, at pixels (N, 2); NaN where unknown."""

    name: str
    matrix: NDArray[np.float64]
    poses: Sequence[NDArray[np.float64]]
    images: Sequence[NDArray[np.uint8]]
    depths: Callable[[int, NDArray[np.float32]], NDArray[np.float64]]

    @property
    def orders(self) -> dict[str, list[int]]:
        """The indices of the images that are shown, by what they are."""
        count = len(self.images)
        orders = {kind: list(range(0, count, step)) for step, kind in STEPS.items()}
        middle = list(range(count // 2, count // 2 + STILL))
        return orders | {
            "sudden start": [0] * STILL + list(range(SUDDEN, count, SUDDEN)),
            "one jump": [*range(STILL), *range(STILL + SUDDEN, 2 * STILL + SUDDEN)],
            "cut": [*range(STILL), *middle],
        }


class Judged(NamedTuple):
    """Matches of one image: their distances from the true epipolar line and position, their places, and the time."""

    distance: NDArray[np.float64]
    off: NDArray[np.float64]  # NaN where the depth is unknown
    places: NDArray[np.float32]
    milliseconds: float

    @property
    def right(self) -> NDArray[np.float32]:
        return self.places[self.distance <= CORRECT]


def follow(clip: Clip, order: Sequence[int], compared: Mapping[str, Setting], extract: Extractor) -> dict[str, Row]:
    """What each setting finds in the images of a clip that are shown in this order."""
    shown = {name: Found(setting.matched) for name, setting in compared.items()}
    front_ends = {name: FrontEnd(cast(Extractor, shown[name]), setting.options) for name, setting in compared.items()}
    judged: dict[str, list[Judged]] = {name: [] for name in compared}
    for place, index in enumerate(tqdm(order, desc=clip.name, leave=False)):
        features = extract(clip.images[index])
        for name, front_end in front_ends.items():
            shown[name].features = features
            start = time.process_time()
            step = front_end.process(clip.images[index], place * PERIOD)
            milliseconds = 1e3 * (time.process_time() - start)
            if place and index != order[place - 1]:
                judged[name].append(judge(clip, step, index, order[place - 1], milliseconds))
    reference = judged[EVERYWHERE]
    return {name: summary(found, reference) for name, found in judged.items()}


def judge(clip: Clip, step: Step, index: int, before: int, milliseconds: float) -> Judged:
    """The matches of an image with the one before it, compared with the truth."""
    assert step.previous is not None
    rows, rows_before = step.matches.indices.T
    now, then = step.frame.features.keypoints[rows], step.previous.features.keypoints[rows_before]
    pose, pose_before = clip.poses[index], clip.poses[before]
    distance = epipolar_distance(fundamental_from_poses(clip.matrix, pose, pose_before), now, then)
    points = back_project(clip.matrix, now, clip.depths(index, now))
    seen = transform(motion_between(pose, pose_before), points) @ clip.matrix.T
    off = np.linalg.norm(seen[:, :2] / seen[:, 2:] - then, axis=1)
    return Judged(distance, off, now, milliseconds)


def summary(found: Sequence[Judged], reference: Sequence[Judged]) -> Row:
    """Means of an image. reference: the same images without a window and verification.

    sigma:  root mean square of the distances of right matches from the line.
    placed: share of the matches with known depth that are at their true position; left out without a depth.
    lost:   right matches of the reference without one at the same place.
    worst:  least number of right matches of an image, as a share of that of the reference.
    ms:     median time of all cores for the front-end without extraction. time: its ratio to the reference.
    """
    distance, off = (np.concatenate([getattr(each, name) for each in found]) for name in ("distance", "off"))
    right = distance <= CORRECT
    pairs = [(each.right, other.right) for each, other in zip(found, reference)]
    shares = [len(one) / len(other) for one, other in pairs if len(other) >= FEW]
    ms, ms_reference = (np.median([each.milliseconds for each in judged]) for judged in (found, reference))
    known = off[np.isfinite(off)]
    placed = {"placed": round(float((known <= PLACED).mean()), 4)} if len(known) else {}
    return placed | {
        "right": round(float(right.sum()) / len(found), 1),
        "share": round(float(right.mean()), 4),
        "sigma": round(float(np.sqrt(np.mean(np.square(distance[right])))), 3),
        "lost": round(float(np.mean([lost(one, other) for one, other in pairs])), 1),
        "worst": round(min(shares), 3),
        "ms": round(float(ms), 2),
        "time": round(float(ms / ms_reference), 2),
    }


def lost(places: NDArray[np.float32], reference: NDArray[np.float32]) -> int:
    """How many places (M, 2) of the reference have none of `places` (N, 2) within a pixel of the network."""
    apart, _ = cKDTree(places).query(reference)
    return int(np.count_nonzero(apart > 1 / CAMERA_SCALE))


def matching(clip: Clip, extract: Extractor) -> dict[str, float]:
    """Time of matching two images alone, as a ratio to that without a window."""
    a, b = (extract(image) for image in clip.images[1::-1])
    radii = {f"1/{share}": clip.images[0].shape[1] / share for share in SHARES}
    candidates = {EVERYWHERE: partial(match, a, b)} | {
        name: partial(match, a, b, radius=radius) for name, radius in radii.items()
    }
    times = interleaved(candidates, REPEATS, f"{clip.name}, matching")
    return {name: round(each["median"] / times[EVERYWHERE]["median"], 2) for name, each in times.items()}


def clips(data: Path, count: int) -> Iterator[Clip]:
    """The flight, and the sequences in a folder, of at most `count` images each."""
    flight, moments = SyntheticFlight(), np.arange(count) / FLIGHT_RATE
    yield Clip(
        "flight",
        flight.camera.matrix,
        [flight.pose(moment) for moment in moments],
        [flight.render(moment) for moment in moments],
        lambda index, pixels: flight.depths(moments[index], pixels),
    )
    for folder in sequences(data):
        sequence = open_sequence(folder)
        images = [sequence[index].image for index in range(min(count, len(sequence)))]
        yield Clip(folder.name, sequence.matrix, list(sequence.poses), images, partial(_depths, sequence))


def _depths(sequence: PosedSequence, index: int, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    return sequence[index].depth_at(pixels)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, help="folder of sequences")
    arguments.add_argument("--images", type=int, default=60, help="images of each sequence, at most (default: 60)")
    options = arguments.parse_args()
    extractor = Extractor.load(None, CAMERA_MAX_KEYPOINTS, scale=CAMERA_SCALE)
    results: dict[str, dict[str, dict[str, Row]]] = {}
    alone: dict[str, dict[str, float]] = {}
    for clip in clips(options.data, options.images):
        alone[clip.name] = matching(clip, extractor)
        print(f"{clip.name}, time of matching alone: {alone[clip.name]}", flush=True)
        results[clip.name] = {}
        for kind, order in clip.orders.items():
            results[clip.name][kind] = rows = follow(clip, order, settings(), extractor)
            for name, row in rows.items():
                print(f"{clip.name}, {kind}, {name}: {row}", flush=True)
    default = [rows[DEFAULT] for kinds in results.values() for rows in kinds.values()]
    steady = [kinds[kind][DEFAULT]["time"] for kinds in results.values() for kind in STEPS.values()]
    verdicts = [
        verdict("flight: share of right matches", results["flight"][STEPS[1]][DEFAULT]["share"], 0.97, True),
        verdict("all: least share of the right matches of an image", min(row["worst"] for row in default), 0.95, True),
        verdict("steady motion: time of the front-end, largest ratio", max(steady), 1.2, False),
        verdict("matching alone, largest ratio of its time", max(row[DEFAULT] for row in alone.values()), 1.2, False),
    ]
    save("window", {"verdicts": verdicts, "matching alone, ratio of the time": alone, **results})


if __name__ == "__main__":
    main()
