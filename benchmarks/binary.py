"""Matching quality and time of 256-bit codes, beside the float descriptors that they encode and ORB's own codes.

python -m benchmarks.binary eval/homography eval/kitti/image_0 eval/tsukuba/image_0 --skip evd_adam evd_index evd_mag

The first folder holds sequences in HPatches' layout, the others frames that are paired; all matches are mutual nearest
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common import interleaved, parser, save
from silk_ros import match
from silk_ros.binary import BinaryCode, binary_code, hamming_match
from silk_ros.evaluation.methods.base import FloatMethod, Keypoints
from silk_ros.evaluation.methods.load import load_method
from silk_ros.evaluation.metrics import share_within
from silk_ros.evaluation.options import DatasetError
from silk_ros.evaluation.pairs import CLOSE, KEYPOINTS, NEAR, Pair, read_pairs
from silk_ros.evaluation.speed.matching import random_features
from silk_ros.geometry.epipolar import estimated_inliers
from silk_ros.geometry.homography import reprojection_error
from silk_ros.paths import default_model
from training.binary import random_code

SEED = 0  # for the random hyperplanes
COUNTS = (1000, 5000)

Descriptors = NDArray[Any]
# A detector (0: the network, 1: ORB), a conversion of its descriptors, and how these are matched.
Format = tuple[int, Callable[[Descriptors], Descriptors], Callable[[Keypoints, Keypoints], NDArray[np.int32]]]


def _hamming(a: Keypoints, b: Keypoints) -> NDArray[np.int32]:
    return hamming_match(a.descriptors, b.descriptors).indices


def formats(code: BinaryCode) -> dict[str, Format]:
    hyperplanes, cosine = random_code(code.descriptor_dim, SEED), FloatMethod().match
    return {
        "float32": (0, lambda descriptors: descriptors, cosine),
        "float16": (0, lambda descriptors: descriptors.astype(np.float16), cosine),
        "random hyperplanes": (0, hyperplanes.encode, _hamming),
        "binary256": (0, code.encode, _hamming),
        "ORB": (1, lambda descriptors: descriptors, _hamming),
    }


def judge(pair: Pair, points0: NDArray[np.floating], points1: NDArray[np.floating]) -> dict[str, float]:
    """The number of matches of a pair, and the shares that fit its homography or the dominant epipolar geometry."""
    if pair.homography is not None:
        errors = reprojection_error(pair.homography, points0, points1)
        close, near = share_within(errors, CLOSE), share_within(errors, NEAR)
        return {"matches": len(errors), "right": near * len(errors), "MMA@1": close, "MMA@3": near}
    inliers = estimated_inliers(points0, points1, CLOSE)
    share = float(inliers.mean()) if len(inliers) else 0.0
    return {"matches": len(inliers), "inliers": float(inliers.sum()), "inlier share": share}


def name_of(source: str) -> str:
    """The last two folders of a path: the last one alone is the same for all stereo sequences."""
    return "/".join(Path(source).resolve().parts[-2:])


def quality(source: str, skip: Sequence[str], code: BinaryCode) -> dict[str, dict[str, float]]:
    """Means over the pairs of a source, by format."""
    methods = load_method("silk", KEYPOINTS), load_method("orb", KEYPOINTS)
    compared = formats(code)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in compared}
    pairs = read_pairs(source, skip)
    for pair in tqdm(pairs, desc=name_of(source), unit="pair"):
        found = [[method.extract(image) for image in (pair.first, pair.second)] for method in methods]
        for name, (detector, convert, match_with) in compared.items():
            a, b = (replace(side, descriptors=convert(side.descriptors)) for side in found[detector])
            first, second = match_with(a, b).T
            rows[name].append(judge(pair, a.keypoints[first], b.keypoints[second]))
    means = {
        name: {key: round(float(np.mean([row[key] for row in own])), 4) for key in own[0]} for name, own in rows.items()
    }
    for name, row in means.items():
        print(f"{name_of(source)} ({len(pairs)} pairs), {name}: {row}")
    return means


def times(count: int, code: BinaryCode) -> dict[str, float]:
    """Milliseconds of `match`, and of encoding an image and matching its codes, also relative to `match`."""
    a, b = random_features(count, 1), random_features(count, 2)
    codes = code.encode(a.descriptors), code.encode(b.descriptors)
    candidates: dict[str, Callable[[], object]] = {
        "match": lambda: match(a, b),
        "encode": lambda: code.encode(a.descriptors),
        "hamming_match": lambda: hamming_match(*codes),
    }
    measured = interleaved(candidates, 20, f"time, n = {count}")
    median = {name: measured[name]["median"] for name in candidates}
    ratios = {f"{name} / match": round(median[name] / median["match"], 2) for name in ("encode", "hamming_match")}
    print(f"n = {count}: {median} ms, {ratios}")
    return {f"{name}, ms": value for name, value in median.items()} | ratios


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("sources", nargs="+", help="folders of pairs with homographies, or of frames")
    arguments.add_argument("--skip", nargs="+", default=[], metavar="SEQUENCE", help="sequences to leave out")
    options = arguments.parse_args()
    code = binary_code(default_model())
    try:
        measured = {name_of(source): quality(source, options.skip, code) for source in options.sources}
    except (ValueError, DatasetError) as error:
        raise SystemExit(f"binary: {error}") from error
    timed = {f"n = {count}": times(count, code) for count in COUNTS}
    save("binary", {"keypoints": KEYPOINTS, **measured, "times": timed})


if __name__ == "__main__":
    main()
