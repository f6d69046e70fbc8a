"""What ~/tracks offers to VINS, by the parameters of the preset vins, on sequences with known poses.

python -m benchmarks.tracks path/to/sequences    # a folder of KITTI's or 7-Scenes' layout each
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud
from std_msgs.msg import Header

from benchmarks.common import parser, save
from benchmarks.selection import CORRECT, Row, sequences
from silk_ros.evaluation.datasets.posed import PosedSequence, open_sequence
from silk_ros.evaluation.methods.base import DEFAULT_PRECISION
from silk_ros.frontend import FrontEnd
from silk_ros.geometry.camera import Camera
from silk_ros.geometry.epipolar import epipolar_distance, fundamental_from_poses
from silk_ros.parameters.given import preset_file, read_parameter_file
from silk_ros.parameters.settings import settings_with
from silk_ros.ros.front_end.tracks import TrackMessages

USED = 4  # observations from which VINS uses a track
CELL = 64.0  # pixels; side of the cells that are counted
APART = (1, 5)  # images between two observations that are compared with the true epipolar line
FIRST = 5  # messages that are not counted: tracks are young at the start


def variants() -> dict[str, dict[str, Any]]:
    """Parameters of the node that differ from its defaults, by the names of the variants."""
    preset = read_parameter_file(preset_file("vins"))
    changes: dict[str, dict[str, Any]] = {
        "preset vins": {},
        "no distance": {"tracks.min_distance": 0.0},
        "15 px": {"tracks.min_distance": 15.0},
        "150 tracks, 30 px": {"tracks.max_count": 150, "tracks.min_distance": 30.0},
        "no cells": {"selection.cell_size": 0.0, "selection.max_per_cell": 0},
        "2000 keypoints": {"max_keypoints": 2000},
        "no verification": {"verification.method": "none"},
        "fundamental": {"verification.method": "fundamental"},
    }
    return {"the node's defaults": {}} | {name: preset | changed for name, changed in changes.items()}


def messages(sequence: PosedSequence, given: Mapping[str, Any], images: int) -> list[PointCloud]:
    """The messages of the first images of a sequence, of which every pixel has a ray."""
    height, width = sequence[0].image.shape
    camera = Camera(width, height, sequence.matrix, np.zeros(5))
    settings = settings_with({**given, "precision": DEFAULT_PRECISION})
    front_end = FrontEnd(settings.network.load(), settings.front_end)
    tracks, sent = TrackMessages(settings.tracks), []
    for index in range(min(images, len(sequence))):
        frame = front_end.process(sequence[index].image, index, camera).frame
        assert frame.rays is not None
        sent.append(tracks.message(Header(), frame, frame.rays))
    return sent


def judge(sequence: PosedSequence, sent: list[PointCloud]) -> Row:
    """Means over the messages: tracks, those that VINS uses, and their cells; shares that are right."""
    height, width = sequence[0].image.shape
    cells = np.ceil(height / CELL) * np.ceil(width / CELL)
    seen: list[dict[int, NDArray[np.float64]]] = []
    observations: dict[int, int] = {}
    rows, right = [], {apart: [0, 0] for apart in APART}
    for index, message in enumerate(sent):
        ids, u, v = (np.array(message.channels[place].values) for place in range(3))
        seen.append(dict(zip(ids.astype(int).tolist(), np.stack([u, v], axis=1))))
        observations = {track: observations.get(track, 0) + 1 for track in seen[-1]}
        used = [point for track, point in seen[-1].items() if observations[track] >= USED]
        filled = [len({tuple(point // CELL) for point in points}) / cells for points in (seen[-1].values(), used)]
        rows.append((len(ids), filled[0], len(used), filled[1]))
        for apart in (each for each in APART if each <= index):
            counts = count_right(sequence, index, index - apart, seen[-1], seen[index - apart])
            right[apart] = [total + count for total, count in zip(right[apart], counts)]
    means = np.mean(rows[FIRST:], axis=0).tolist()
    row = dict(zip(("tracks", "cells", f"of {USED} observations", "their cells"), means))
    row |= {f"right over {apart}": good / max(1, both) for apart, (good, both) in right.items()}
    return {name: round(value, 3) for name, value in row.items()}


def count_right(
    sequence: PosedSequence,
    now: int,
    before: int,
    points: dict[int, NDArray[np.float64]],
    points_before: dict[int, NDArray[np.float64]],
) -> tuple[int, int]:
    """The number of tracks in two images that are on their true epipolar lines, and the number of all in both."""
    both = sorted(points.keys() & points_before.keys())
    if not both:
        return 0, 0
    fundamental = fundamental_from_poses(sequence.matrix, sequence.poses[now], sequence.poses[before])
    places = (np.array([given[track] for track in both]) for given in (points, points_before))
    return int((epipolar_distance(fundamental, *places) <= CORRECT).sum()), len(both)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, help="folder of sequences")
    arguments.add_argument("--images", type=int, default=60, help="of each sequence (%(default)s)")
    options = arguments.parse_args()
    found: dict[str, dict[str, Row]] = {}
    for folder in sequences(options.data):
        sequence = open_sequence(folder)
        for name, given in variants().items():
            row = judge(sequence, messages(sequence, given, options.images))
            found.setdefault(folder.name, {})[name] = row
            print(f"{folder.name}, {name}: {row}", flush=True)
    save("tracks", found)


if __name__ == "__main__":
    main()
