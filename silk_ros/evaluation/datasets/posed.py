"""Posed image folders, read frame by frame: KITTI odometry (stereo or one camera) and 7-Scenes (RGB-D)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry.motion import Points
from ...images.folders import image_files
from ...images.kitti import CALIBRATION, POSES, read_poses, read_projections
from ..methods.base import Keypoints, Method
from ..options import DatasetError, Options
from .gray_images import Image, read_image, resize, resize_shorter_edge

Matrix = NDArray[np.float64]

LAYOUTS = """expected one of
  KITTI:    image_0/*.png, poses.txt (12 numbers a row, camera-to-world), calib.txt (row P0, 12 numbers);
            for stereo also image_1/*.png and row P1
  7-Scenes: frame-N.color.jpg or .png, frame-N.depth.png (uint16, mm), frame-N.pose.txt (4x4, camera-to-world),
            camera-intrinsics.txt (3x3, of the depth camera)"""
STEREO_RATE, MONO_RATE, RGBD_RATE = 10.0, 30.0, 30.0  # Hz: KITTI, New Tsukuba, 7-Scenes
# 7-Scenes gives the intrinsics of the depth camera only; these are the colour camera's, for 640x480.
SEVEN_SCENES_COLOUR, SEVEN_SCENES_SIZE = np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]]), (640, 480)
INVALID_DEPTHS = (0, 65535)


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """The images of one moment of a sequence.

    image: (H, W) uint8 grey. right: the image of the right camera of a rectified stereo pair, or None.
    depth: (H, W) float32 metres along z at the pixels of `image`, NaN where unknown, or None.
    """

    image: Image
    right: Image | None
    depth: NDArray[np.float32] | None

    def depth_at(self, pixels: Points) -> NDArray[np.float64]:
        """Depths (N,) at the pixels nearest to points (N, 2), NaN where unknown."""
        depths = np.full(len(pixels), np.nan)
        if self.depth is not None and len(pixels):
            column, row = np.rint(pixels).astype(int).T
            height, width = self.depth.shape
            inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
            depths[inside] = self.depth[row[inside], column[inside]]
        return depths


class PosedSequence:
    """Frames in order of time, each read on demand.

    name: of the folder. poses: (N, 4, 4) camera-to-world, metres. timestamps: (N,) seconds from the first frame.
    matrix: (3, 3) intrinsics of the images after resizing. shorter_edge: of these images, pixels.
    baseline: metres between the cameras of a stereo pair, or None. depth_files: of each frame, or None without depth.
    """

    def __init__(
        self,
        name: str,
        files: list[Path],
        poses: Matrix,
        rate: float,
        matrix: Matrix,
        shorter_edge: int | None,
        right_files: list[Path] | None = None,
        baseline: float | None = None,
        depth_files: list[Path] | None = None,
        depth_matrix: Matrix | None = None,
    ) -> None:
        self.name, self.poses, self.timestamps = name, poses, np.arange(len(files)) / rate
        self._files, self._right_files, self.depth_files = files, right_files, depth_files
        self.baseline, self._depth_matrix = baseline, depth_matrix
        image = read_image(files[0])
        self._original_shape = image.shape
        resized, transform = resize_shorter_edge(image, shorter_edge or min(image.shape))
        self._size, self.shorter_edge = (resized.shape[1], resized.shape[0]), min(resized.shape)
        self.matrix: Matrix = transform @ matrix

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> PosedFrame:
        """Read a frame. Raises DatasetError for a file that cannot be read or differs in size from the first."""
        depth = None
        if self.depth_files is not None and self._depth_matrix is not None:
            depth = register_depth(_read_depth(self.depth_files[index]), self._depth_matrix, self.matrix, self._size)
        right = None if self._right_files is None else self._read(self._right_files[index])
        return PosedFrame(self._read(self._files[index]), right, depth)

    def _read(self, path: Path) -> Image:
        image = read_image(path)
        if image.shape != self._original_shape:
            (height, width), found = self._original_shape, image.shape
            raise DatasetError(f"'{path}' has {found[1]}x{found[0]} pixels, the first image {width}x{height}")
        return image if image.shape == self._size[::-1] else resize(image, self._size)[0]


def open_sequence(root: str | Path, shorter_edge: int | None = None) -> PosedSequence:
    """The sequence in a folder, whose files show its layout.

    shorter_edge: pixels to which the shorter edge of the images, and the intrinsics with it, are resized.

    The colour and depth cameras of 7-Scenes are assumed to be at one place with two focal lengths: a pixel takes the
    depth on the same ray. Under the true poses, SIFT matches between the kitchen's frames 10 to 30 apart then have a
    median error of 2.5 px; with a published calibration, in which the cameras are 2.5 cm apart, it is 2.3 px.

    Raises DatasetError, naming the file and the expected layouts, for missing and malformed files.
    """
    folder = Path(root).expanduser()
    try:
        if not folder.is_dir():
            raise ValueError(f"there is no folder '{folder}'")
        if (folder / "image_0").is_dir():
            sequence = _open_kitti(folder, shorter_edge)
        elif images := sorted(folder.glob("frame-*.color.*")):
            sequence = _open_seven_scenes(folder, images, shorter_edge)
        else:
            raise ValueError(f"'{folder}' holds neither image_0/ nor frame-N.color.* files")
        if len(sequence) < 2:
            raise ValueError(f"'{folder}' holds a single frame: a sequence has at least two")
    except DatasetError:
        raise
    except (OSError, ValueError) as error:
        raise DatasetError(f"{error}: {LAYOUTS}") from error
    return sequence


def frame_features(method: Method, sequence: PosedSequence, options: Options) -> Callable[[int], Keypoints]:
    """A function from the index of a frame to its best keypoints, which caches the last 64 frames."""

    @lru_cache(maxsize=64)
    def features(index: int) -> Keypoints:
        return method.extract(sequence[index].image).best(options.top_k)

    return features


def register_depth(
    depth: NDArray[np.float32], depth_matrix: Matrix, matrix: Matrix, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Depth image seen by another camera at the same place, of intrinsics `matrix` and `size` (width, height).

    Each pixel takes the depth of the pixel nearest to its ray, which keeps edges sharp; NaN outside the view.
    """
    to_depth, flags = depth_matrix @ np.linalg.inv(matrix), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(depth, to_depth, size, flags=flags, borderValue=float("nan")), np.float32)


def _open_kitti(folder: Path, shorter_edge: int | None) -> PosedSequence:
    left, right = (image_files(folder / side) for side in ("image_0", "image_1"))
    poses = read_poses(folder / POSES)
    projections = read_projections(folder / CALIBRATION, 2 if right else 1)
    for side, images in ("image_0", left), ("image_1", right):
        if len(images) != len(poses) and (images or side == "image_0"):
            raise ValueError(f"{len(images)} images in '{folder / side}', {len(poses)} poses in '{folder / POSES}'")
    matrix = projections[0][:, :3]
    if not right:
        return PosedSequence(folder.name, left, poses, MONO_RATE, matrix, shorter_edge)
    baseline = float(projections[0][0, 3] - projections[1][0, 3]) / matrix[0, 0]
    if baseline <= 0:
        raise ValueError(f"row P1 of '{folder / CALIBRATION}' is not a camera to the right of P0")
    return PosedSequence(folder.name, left, poses, STEREO_RATE, matrix, shorter_edge, right, baseline)


def _open_seven_scenes(folder: Path, images: list[Path], shorter_edge: int | None) -> PosedSequence:
    height, width = read_image(images[0]).shape
    if (width, height) != SEVEN_SCENES_SIZE:
        raise DatasetError(
            f"'{images[0]}' has {width}x{height} pixels: the intrinsics of 7-Scenes' colour camera are for "
            "640x480; to resize, give --shorter-edge instead"
        )
    stems = [path.name.split(".color.")[0] for path in images]
    poses = np.concatenate([read_poses(folder / f"{stem}.pose.txt", rows=4) for stem in stems])
    path = folder / "camera-intrinsics.txt"
    depth_matrix: Matrix = np.loadtxt(path)
    if depth_matrix.shape != (3, 3) or not np.isfinite(depth_matrix).all():
        raise ValueError(f"'{path}' does not hold the 3x3 numbers of an intrinsic matrix")
    depths, colour = [folder / f"{stem}.depth.png" for stem in stems], SEVEN_SCENES_COLOUR
    return PosedSequence(folder.name, images, poses, RGBD_RATE, colour, shorter_edge, None, None, depths, depth_matrix)


def _read_depth(path: Path) -> NDArray[np.float32]:
    """Metres (H, W), NaN where unknown, from uint16 millimetres."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise DatasetError(f"'{path}' is not a depth image of 16 bits: {LAYOUTS}")
    return np.asarray(np.where(np.isin(image, INVALID_DEPTHS), np.nan, image / 1000), np.float32)
