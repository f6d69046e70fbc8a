"""The errors of the cameras of a COLMAP model, and a picture of the estimated and the true path.

    run_sequence tsukuba/image_0 --output reconstruction --format colmap --map --camera 615,615,320,240 \\
        --every 5 --window 5 --ratio 0.9 --scale 1 --max-keypoints 3000
    python -m benchmarks.colmap reconstruction/sparse/0 tsukuba --output docs/images/colmap_tsukuba.png

The sequence is a folder that `evaluate odometry` reads. COLMAP's scale is free: the model is aligned by a similarity.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import numpy as np
import pycolmap

from benchmarks.common import parser
from silk_ros.evaluation.datasets.posed import open_sequence
from silk_ros.geometry.trajectory import absolute_error, path_length

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("model", type=Path, help="folder of a COLMAP model made by run_sequence")
    arguments.add_argument("sequence", type=Path, help="folder of its images and poses, as KITTI or 7-Scenes")
    arguments.add_argument("--output", type=Path, required=True, help="file for the picture")
    options = arguments.parse_args()
    model = pycolmap.Reconstruction(options.model)
    # Images have the names of their files, whose last number is the index in the sequence.
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    truth = open_sequence(options.sequence).poses[[int(re.findall(r"\d+", image.name)[-1]) for image in images]]
    estimate = np.tile(np.eye(4), (len(images), 1, 1))
    estimate[:, :3, 3] = [image.projection_center() for image in images]
    similarity = pycolmap.estimate_sim3d(estimate[:, :3, 3], truth[:, :3, 3])
    if similarity is None:
        raise SystemExit(f"the {len(images)} cameras of '{options.model}' cannot be aligned with the truth")
    estimate[:, :3, 3] = [similarity * centre for centre in estimate[:, :3, 3]]
    length, error = path_length(truth), absolute_error(estimate, truth)
    share = 100 * error / length
    print(f"{len(images)} cameras, ATE {1000 * error:.1f} mm on a path of {length:.2f} m ({share:.2f} %)")
    draw(estimate[:, :3, 3], truth[:, :3, 3], options.output)


def draw(estimate: np.ndarray, truth: np.ndarray, path: Path) -> None:
    """Camera centres (N, 3) in metres, from above and from the side; x right, y down, z forward at the start."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, height, label in zip(axes, (2, 1), ("z, forward (m)", "y, down (m)")):
        axis.plot(truth[:, 0], truth[:, height], color="0.6", linewidth=4, label="truth")
        axis.plot(
            estimate[:, 0], estimate[:, height], "o-", markersize=3, linewidth=1, label="COLMAP on SiLK's matches"
        )
        axis.set(xlabel="x, right (m)", ylabel=label)
        axis.set_aspect("equal", adjustable="datalim")
        axis.grid(alpha=0.3)
    axes[1].invert_yaxis()
    axes[0].legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
