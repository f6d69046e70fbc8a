"""A scene of points that a camera moves through, written in the layouts of posed image folders, and its features.

The images carry nothing but their number: `SceneMethod` looks up what a camera sees there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.evaluation.methods.base import Keypoints
from silk_ros.geometry.homography import project
from silk_ros.geometry.motion import transform

MATRIX = np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]])  # the colour camera of 7-Scenes
WIDTH, HEIGHT, BASELINE = 640, 480, 0.5
Poses = NDArray[np.float64]


@dataclass
class SceneMethod:
    """A method that sees the points of the scene exactly, and matches them by their identity.

    wrong: share of the matches that it gets wrong. blind: numbers of images in which it finds nothing.
    """

    name: str = "exact"
    views: list[Keypoints] = field(default_factory=list)
    wrong: float = 0.0
    blind: tuple[int, ...] = ()

    def extract(self, image: NDArray[np.uint8]) -> Keypoints:
        number = int(image[0, 0])
        return self.views[number].best(0 if number in self.blind else len(self.views[number]))

    def match(
        self, a: Keypoints, b: Keypoints, ratio: float | None = None, double_softmax: float | None = None
    ) -> NDArray[np.int32]:
        _, rows_a, rows_b = np.intersect1d(a.descriptors[:, 0], b.descriptors[:, 0], return_indices=True)
        count = int(self.wrong * len(rows_b))
        rows_b[:count] = np.random.default_rng(0).permutation(rows_b[:count])
        return np.stack([rows_a, rows_b], axis=1).astype(np.int32)


class Scene:
    """600 points around a path, and folders of what a camera on the path would record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        self.points = rng.uniform([-12, -3, 4], [12, 3, 25], (600, 3))
        self.descriptors = rng.normal(size=(600, 8)).astype(np.float32)
        self.method = SceneMethod()

    @staticmethod
    def path(count: int, step: float = 0.25, turn: float = 2.0) -> Poses:
        """Poses (count, 4, 4) that go forward by `step` metres and turn to the left by `turn` degrees, in turn."""
        motion = np.eye(4)
        motion[:3, :3] = cv2.Rodrigues(np.array([0, -np.radians(turn), 0]))[0]
        motion[:3, 3] = motion[:3, :3] @ [0, 0, step]
        return np.array([np.linalg.matrix_power(motion, index) for index in range(count)])

    def kitti(self, poses: Poses, stereo: bool = True, shift: float = 0.0) -> Path:
        """KITTI layout. The keypoints of right images are `shift` pixels too far to the right."""
        rows = ["P0: 525 0 320 0 0 525 240 0 0 0 1 0", f"P1: 525 0 320 {-525 * BASELINE} 0 525 240 0 0 0 1 0"]
        (self.folder / "calib.txt").write_text("\n".join(rows))
        np.savetxt(self.folder / "poses.txt", poses[:, :3].reshape(-1, 12))
        right = np.eye(4)
        right[0, 3] = BASELINE
        for index, pose in enumerate(poses):
            self._write(f"image_0/{index:06d}.png", pose)
            if stereo:
                self._write(f"image_1/{index:06d}.png", pose @ right, shift)
        return self.folder

    def seven_scenes(self, poses: Poses) -> Path:
        """7-Scenes layout, its depth images (depth camera: focal length 585) of the points only, in blots of 9x9."""
        depth_matrix = MATRIX.copy()
        depth_matrix[0, 0] = depth_matrix[1, 1] = 585
        np.savetxt(self.folder / "camera-intrinsics.txt", depth_matrix)
        for index, pose in enumerate(poses):
            self._write(f"frame-{index:06d}.color.png", pose)
            np.savetxt(self.folder / f"frame-{index:06d}.pose.txt", pose)
            depth = np.zeros((HEIGHT, WIDTH), np.uint16)
            moved = transform(np.linalg.inv(pose), self.points)
            moved = moved[moved[:, 2] > 0.5]
            pixels = np.rint(project(depth_matrix, moved)).astype(int)
            for number in np.argsort(-moved[:, 2]):  # near ones last, on top
                x, y = pixels[number].tolist()
                if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                    depth[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5] = round(1000 * moved[number, 2])
            cv2.imwrite(str(self.folder / f"frame-{index:06d}.depth.png"), depth)
        return self.folder

    def _write(self, name: str, pose: Poses, shift: float = 0.0) -> None:
        moved = transform(np.linalg.inv(pose), self.points)
        ahead = np.flatnonzero(moved[:, 2] > 0.5)
        pixels = project(MATRIX, moved[ahead]) + np.array([shift, 0])
        seen = ((pixels >= 0) & (pixels <= [WIDTH - 1, HEIGHT - 1])).all(axis=1)
        number = len(self.method.views)
        found = pixels[seen].astype(np.float32)
        self.method.views.append(Keypoints(found, np.ones(len(found), np.float32), self.descriptors[ahead[seen]]))
        (self.folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(self.folder / name), np.full((HEIGHT, WIDTH), number, np.uint8))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)
