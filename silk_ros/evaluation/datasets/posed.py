"""Sequences with true poses, read frame by frame: the layouts of `images.layouts` that have poses and a calibration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry.camera import Camera
from ...geometry.motion import Points
from ...geometry.rectification import Maps, is_rectified_already, rectification_maps
from ...geometry.stereo_geometry import StereoGeometry
from ...images.folders import find_layout
from ...images.layouts.base import FolderLayout, FrameFiles
from ...images.layouts.seven_scenes import INTRINSICS
from ...images.layouts.seven_scenes import KIND as SEVEN_SCENES
from ..methods.base import Keypoints, Method
from ..options import DatasetError, Options
from .gray_images import Image, read_image, resize, resize_shorter_edge

log = logging.getLogger(__name__)

Matrix = NDArray[np.float64]

LAYOUTS = """expected one of
  KITTI:     image_0/*.png or image_2/*.png, poses.txt (12 numbers a row, camera-to-world), calib.txt (rows P0 or P2, 12
             numbers); for stereo also image_1 and row P1, or image_3 and row P3
  7-Scenes:  frame-N.color.jpg or .png, frame-N.depth.png (uint16, mm), frame-N.pose.txt (4x4, camera-to-world),
             camera-intrinsics.txt (3x3, of the depth camera)
  EuRoC:     mav0/cam0 with data/*.png, data.csv and sensor.yaml, mav0/state_groundtruth_estimate0/data.csv; for stereo
             also mav0/cam1
  stereo:    left/*.png, right/*.png, with poses.txt and calib.txt as of KITTI
  TUM RGB-D: rgb.txt, rgb/*.png, groundtruth.txt, depth.txt, depth/*.png, in a folder named ...freiburg1..., 2 or 3"""
STEREO_RATE, MONO_RATE = 10.0, 30.0  # Hz, of sequences without stamps: KITTI; New Tsukuba and 7-Scenes
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
    """Frames in order of time, each read on demand. Images of cameras with distortion are rectified.

    name: of the folder. poses: (N, 4, 4) camera-to-world, metres. timestamps: (N,) seconds from the first frame.
    matrix: (3, 3) intrinsics of the images after resizing. shorter_edge: of these images, pixels.
    baseline: metres between the cameras of a stereo pair, or None. depth_files: of each frame, or None without depth.
    """

    def __init__(self, name: str, layout: FolderLayout, shorter_edge: int | None) -> None:
        """Raises ValueError, naming the fix, for a layout without two frames with poses, or without a calibration."""
        self.name = name
        self._frames = frames = _posed_frames(layout)
        image = read_image(frames[0].image)
        self._original_shape = image.shape
        cameras = _cameras(layout, (image.shape[1], image.shape[0]))
        self._maps = [None if is_rectified_already(camera) else rectification_maps(camera) for camera in cameras]
        resized, transform = resize_shorter_edge(image, shorter_edge or min(image.shape))
        self._size, self.shorter_edge = (resized.shape[1], resized.shape[0]), min(resized.shape)
        projection = cameras[0].projection
        self.matrix: Matrix = transform @ projection[:, :3]
        self.baseline = StereoGeometry(*cameras).baseline if layout.stereo else None
        self.depth_files = [frame.depth for frame in frames if frame.depth is not None] or None
        self._depth_units = layout.depth_units
        self._depth_matrix = projection[:, :3] if layout.depth_matrix is None else layout.depth_matrix
        self.poses = np.array([frame.pose for frame in frames]) @ _from_rectified(cameras[0])
        self.timestamps = _timestamps(frames, STEREO_RATE if layout.stereo else MONO_RATE)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> PosedFrame:
        """Read a frame. Raises DatasetError for a file that cannot be read or differs in size from the first."""
        files, depth = self._frames[index], None
        if files.depth is not None:
            depth = _read_depth(files.depth, self._depth_units)
            if self._maps[0] is not None:
                depth = np.asarray(cv2.remap(depth, *self._maps[0], cv2.INTER_NEAREST, borderValue=np.nan), np.float32)
            depth = register_depth(depth, self._depth_matrix, self.matrix, self._size)
        right = None if files.right is None else self._read(files.right, self._maps[1])
        return PosedFrame(self._read(files.image, self._maps[0]), right, depth)

    def _read(self, path: Path, maps: Maps | None) -> Image:
        image = read_image(path)
        if image.shape != self._original_shape:
            (height, width), found = self._original_shape, image.shape
            raise DatasetError(f"'{path}' has {found[1]}x{found[0]} pixels, the first image {width}x{height}")
        if maps is not None:
            image = np.asarray(cv2.remap(image, *maps, cv2.INTER_LINEAR), np.uint8)
        return image if image.shape == self._size[::-1] else resize(image, self._size)[0]


def open_sequence(root: str | Path, shorter_edge: int | None = None) -> PosedSequence:
    """The sequence in a folder, whose files show its layout. Frames without a pose are left out, as the log says.

    shorter_edge: pixels to which the shorter edge of the images, and the intrinsics with it, are resized.

    The colour and depth cameras of 7-Scenes are assumed to be at one place with two focal lengths: a pixel takes the
    depth on the same ray. Under the true poses, SIFT matches between the kitchen's frames 10 to 30 apart then have a
    median error of 2.5 px; with a published calibration, in which the cameras are 2.5 cm apart, it is 2.3 px.

    Raises DatasetError, naming the file and the expected layouts, for missing and malformed files.
    """
    folder = Path(root).expanduser()
    try:
        if not folder.is_dir():
            raise ValueError(f"'{folder}' is no folder" if folder.exists() else f"there is no folder '{folder}'")
        layout = find_layout(folder)
        if layout is None:
            raise ValueError(f"'{folder}' holds no data set in a known layout")
        return PosedSequence(folder.resolve().name, layout, shorter_edge)
    except DatasetError:
        raise
    except (OSError, ValueError) as error:
        raise DatasetError(f"{error}: {LAYOUTS}") from error


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


def _posed_frames(layout: FolderLayout) -> list[FrameFiles]:
    """The frames with a pose, and with depth if the sequence has any. Raises ValueError for fewer than two."""
    with_depth = any(frame.depth is not None for frame in layout.frames)
    posed = [frame for frame in layout.frames if frame.pose is not None]
    frames = [frame for frame in posed if frame.depth is not None] if with_depth else posed
    left_out = len(layout.frames) + len(layout.lost) - len(frames)
    reasons = [f"{lost.place}: {lost.reason}" for lost in layout.lost[:1]] + layout.notes
    why = f" ({'; '.join(reasons)})" if reasons else ""
    if len(frames) < 2:
        raise ValueError(
            f"'{layout.folder}' holds {layout.kind}, of which {len(frames)} frames have a pose{why}: a sequence has at "
            "least two"
        )
    if left_out:
        what = "a pose, depth or the other image of the pair" if with_depth or layout.stereo else "a pose"
        log.warning("'%s': %d frames are left out, which lack %s%s", layout.folder, left_out, what, why)
    return frames


def _cameras(layout: FolderLayout, size: tuple[int, int]) -> list[Camera]:
    """The calibration of each camera of a sequence, whose images have a size (width, height)."""
    first = layout.frames[0].image
    if layout.kind == SEVEN_SCENES:
        if size != SEVEN_SCENES_SIZE:
            raise DatasetError(
                f"'{first}' has {size[0]}x{size[1]} pixels: the intrinsics of 7-Scenes' colour camera are for "
                "640x480; to resize, give --shorter-edge instead"
            )
        if layout.depth_matrix is None and layout.frames[0].depth is not None:
            raise ValueError(f"'{layout.folder / INTRINSICS}' is missing, the intrinsics of the depth camera")
        return [Camera(*size, SEVEN_SCENES_COLOUR, np.zeros(5))]
    cameras = [camera for camera in (layout.camera, layout.right_camera) if camera is not None]
    if len(cameras) < 1 + layout.stereo:
        raise ValueError(f"'{layout.folder}' holds {layout.kind} without a calibration")
    for camera in cameras:
        if (camera.width, camera.height) != size:
            raise ValueError(
                f"'{first}' has {size[0]}x{size[1]} pixels, its calibration is for {camera.width}x{camera.height}"
            )
    return cameras


def _from_rectified(camera: Camera) -> Matrix:
    """The transform (4, 4) of points from the axes of the rectified camera to those of the camera."""
    transform = np.eye(4)
    transform[:3, :3] = camera.rectification.T
    return transform


def _timestamps(frames: list[FrameFiles], rate: float) -> NDArray[np.float64]:
    """Seconds (N,) from the first frame, by the stamps; without them, by the numbers of the frames and a rate."""
    stamps = [frame.stamp for frame in frames if frame.stamp is not None]
    if len(stamps) == len(frames):
        return np.array([(stamp - stamps[0]) / 1e9 for stamp in stamps])
    return np.array([frame.index - frames[0].index for frame in frames]) / rate


def _read_depth(path: Path, units: float) -> NDArray[np.float32]:
    """Metres (H, W), NaN where unknown, from uint16 in units per metre."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise DatasetError(f"'{path}' is not a depth image of 16 bits: {LAYOUTS}")
    return np.asarray(np.where(np.isin(image, INVALID_DEPTHS), np.nan, image / units), np.float32)
