"""Drift of the odometry node over DDS on a stereo sequence, with the network's features and with OpenCV's.

    python -m benchmarks.drift path/to/kitti --disparity-offset 0 1.15

Player, front-end and odometry are processes of their own. For SIFT and ORB the front-end is the same node with another
extractor, so matching, stereo and messages do not differ. The sequence's poses.txt holds the true poses.
Writes benchmarks/results/drift.json and drift.png.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.common import RESULTS, parser, save
from silk_ros.binary import unit_vectors
from silk_ros.evaluation.methods.base import Method
from silk_ros.evaluation.methods.load import load_method
from silk_ros.extractor import Extractor
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS
from silk_ros.geometry.trajectory import end_drift, path_length, read_tum, segment_drift, start_at
from silk_ros.images.layouts.kitti import POSES, read_poses
from silk_ros.parameters.settings import NetworkSettings
from silk_ros.paths import default_model
from silk_ros.ros.node.subprocesses import isolate_ros, start, stop
from silk_ros.ros.silk_node import main as run_silk_node
from silk_ros.types import Features, Matches

METHODS = ("silk", "sift", "orb")
RATE = 1.0  # pairs a second: slow enough that no method drops one
PATIENCE = 60.0  # seconds without a new pose until a run is given up


class PeerExtractor:
    """An extractor that gives the features of one of OpenCV's methods."""

    scale, max_keypoints = 1.0, CAMERA_MAX_KEYPOINTS

    def __init__(self, method: Method, backend: Any) -> None:
        self._method, self.backend = method, backend

    def __call__(self, image: NDArray[np.uint8]) -> Features:
        found = self._method.extract(image)
        descriptors = found.descriptors
        if descriptors.dtype == np.uint8:
            descriptors = unit_vectors(descriptors)
        else:
            descriptors = descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-9)
        return Features(found.keypoints, found.scores, descriptors)

    def extract_and_match(self, image: NDArray[np.uint8], previous: Features | None) -> tuple[Features, Matches | None]:
        return self(image), None

    def close(self) -> None:
        pass


def run_front_end(name: str, arguments: list[str]) -> int:
    """Run the node with the features of a method."""
    if name == "silk":
        return run_silk_node(arguments)
    backend = Extractor.load(default_model()).backend  # for the diagnostics and encoders
    peer = PeerExtractor(load_method(name, CAMERA_MAX_KEYPOINTS), backend)
    with mock.patch.object(NetworkSettings, "load", lambda _: peer):
        return run_silk_node(arguments)


def track(name: str, sequence: Path, count: int, offset: float, folder: Path) -> NDArray[np.float64]:
    """The trajectory (N, 4, 4) that the odometry node estimates from one method's features."""
    trajectory = folder / f"{name}.txt"
    python = [sys.executable, "-m"]
    front_end = [*python, "benchmarks.drift", "--front-end", name, "--ros-args"]
    front_end += ["-p", "stereo.sync:=exact", "-p", "image_reliability:=reliable"]
    if name != "silk":  # the refinement is for keypoints on the grid of a network
        front_end += ["-p", "refinement:=none"]
    odometry = [*python, "silk_ros.ros.odometry_node", "--ros-args", "-r", "camera_info:=left/camera_info"]
    odometry += ["-p", "mode:=stereo", "-p", f"disparity_offset:={offset}", "-p", f"trajectory_file:={trajectory}"]
    processes = [subprocess.Popen(command) for command in (front_end, odometry)]
    try:
        # The odometry node must be up first: the player waits only for subscribers that exist.
        while not trajectory.exists():
            time.sleep(0.1)
            if any(process.poll() is not None for process in processes):
                raise RuntimeError("a node has ended: see the log above")
        player = ["wait:=true", "loop:=false", f"rate:={RATE}", "reliability:=reliable", f"source:={sequence}"]
        processes.append(start("image_player", *player))
        seen, last = 0, time.monotonic()
        with tqdm(total=count, desc=name) as bar:
            while seen < count and time.monotonic() - last < PATIENCE:
                time.sleep(0.2)
                rows = len(trajectory.read_text().splitlines()) - 1 if trajectory.exists() else 0
                if rows > seen:
                    bar.update(rows - seen)
                    seen, last = rows, time.monotonic()
    finally:
        stop(*processes)
    return read_tum(trajectory)[1]


def chart(truth: NDArray[np.float64], runs: dict[float, dict[str, NDArray[np.float64]]]) -> None:
    """Draw all trajectories from above, one panel for each offset."""
    figure = Figure(figsize=(4.5 * len(runs), 5.5), layout="constrained")
    panels = figure.subplots(1, len(runs), squeeze=False)
    for axes, (offset, estimates) in zip(panels[0], runs.items()):
        axes.plot(truth[:, 0, 3], truth[:, 2, 3], "k-", linewidth=3, alpha=0.4, label="truth")
        for name, poses in estimates.items():
            label = f"{name}, {end_drift(poses, truth):.2f} %"
            axes.plot(poses[:, 0, 3], poses[:, 2, 3], ".-", linewidth=1, label=label)
        axes.set(xlabel="right [m]", ylabel="forward [m]", title=f"disparity_offset {offset:g}")
        axes.set_aspect("equal")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.suptitle("Stereo odometry over DDS: drift at the end")
    figure.savefig(RESULTS / "drift.png", dpi=110)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("sequence", type=Path, help="folder with image_0, image_1, calib.txt and poses.txt")
    offsets = "offsets to measure all methods with (%(default)s)"
    arguments.add_argument("--disparity-offset", type=float, nargs="+", default=[0.0], metavar="PIXELS", help=offsets)
    options = arguments.parse_args()
    truth = read_poses(options.sequence / POSES)
    isolate_ros()
    runs: dict[float, dict[str, NDArray[np.float64]]] = {offset: {} for offset in options.disparity_offset}
    rows: dict[str, dict[str, dict[str, float]]] = {f"{offset:g}": {} for offset in runs}
    for offset, estimates in runs.items():
        for name in METHODS:
            with tempfile.TemporaryDirectory() as folder:
                poses = track(name, options.sequence, len(truth), offset, Path(folder))
            if len(poses) != len(truth):
                raise SystemExit(f"{name}: {len(poses)} of {len(truth)} frames arrived: see the log above")
            estimates[name] = poses = start_at(poses, truth)  # in camera axes
            rows[f"{offset:g}"][name] = {
                "drift [%]": round(end_drift(poses, truth), 3),
                "segment drift [%]": round(float(np.mean(list(segment_drift(poses, truth).values()))), 3),
            }
            print(f"offset {offset:g}, {name}: {rows[f'{offset:g}'][name]}")
    settings = {"frames": len(truth), "path (m)": round(path_length(truth), 1)}
    save("drift", {"sequence": options.sequence.name, **settings, "by disparity offset": rows})
    chart(truth, runs)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--front-end":
        sys.exit(run_front_end(sys.argv[2], sys.argv[3:]))
    main()
