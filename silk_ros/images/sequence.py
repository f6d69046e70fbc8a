"""The images of a source as grey frames with stamps, for programs that process a whole sequence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from ..geometry.stereo_geometry import StereoGeometry
from .source import FIRST_STAMP, Source, SourceImage

log = logging.getLogger(__name__)

# For images without a frame of their own: of one camera, and of a pair, as the image_player names them.
FRAME_ID = "camera"
PAIR_FRAME_IDS = (f"{FRAME_ID}_left", f"{FRAME_ID}_right")


@dataclass(frozen=True, eq=False)
class SequenceFrame:
    """One image of a sequence, or one stereo pair.

    index:     number of the image in its source.
    stamp:     nanoseconds.
    gray:      (H, W) uint8, of the left camera of a pair.
    camera:    the calibration that came with the image, or was given.
    frame_ids: of the camera, or of both cameras where the source has pairs, also for an image without a right one.
    mask:      (H, W) uint8; no keypoints where it is 0.
    """

    index: int
    stamp: int
    image: SourceImage
    gray: NDArray[np.uint8]
    camera: Camera | None = None
    frame_ids: tuple[str, ...] = (FRAME_ID,)
    mask: NDArray[np.uint8] | None = None

    @property
    def right_stamp(self) -> int:
        """The stamp of the right image of a pair in nanoseconds; that of the left one where it has none of its own."""
        right = self.image.right
        return self.stamp if right is None or right.stamp is None else right.stamp

    def right(self) -> NDArray[np.uint8] | None:
        """The right image of a pair, grey (H, W) uint8; None without one. Raises ValueError for an unreadable one."""
        return None if self.image.right is None else self.image.right.gray()

    def geometry(self) -> StereoGeometry | None:
        """The geometry of a pair; None where its calibrations are missing, of other sizes, or replaced by a given one.

        Raises ValueError, naming the fix, for calibrations that do not belong to a pair.
        """
        left, right = self.image, self.image.right
        if right is None or self.camera is not left.camera:
            return None
        if not _fits(left.camera, left) or not _fits(right.camera, right):
            return None
        return StereoGeometry(left.camera, right.camera)

    def picture(self) -> NDArray[np.uint8]:
        """The image for people: (H, W, 3) BGR where the source gives 8-bit colour, else the grey image (H, W)."""
        to_bgr = {"bgr8": None, "rgb8": cv2.COLOR_RGB2BGR}
        if self.image.encoding not in to_bgr:
            return self.gray
        height, width = self.gray.shape
        rows = np.asarray(self.image.data).reshape(height, self.image.step)
        pixels = np.ascontiguousarray(rows[:, : 3 * width]).reshape(height, width, 3)
        code = to_bgr[self.image.encoding]
        return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def read_frames(
    source: Source, every: int = 1, intrinsics: list[float] | None = None, mask: NDArray[np.uint8] | None = None
) -> Iterator[SequenceFrame]:
    """Every N-th image of a source, N being `every`.

    intrinsics: fx, fy, cx, cy and no or four distortion coefficients k1, k2, p1, p2 (OpenCV's), instead of those of
                the source; a stereo pair then has no geometry.
    mask:       for the images of its size (H, W); the number of the others is logged at the end.

    Raises ValueError, naming the fix, for images that cannot be read.
    """
    right_names: dict[str | None, str | None] = {}  # frame_ids of right cameras, by those of left ones
    count = without_mask = 0
    for index, image in enumerate(source):
        if image.right is not None:
            right_names[image.frame_id] = image.right.frame_id
        if index % every:
            continue
        stamp = FIRST_STAMP + round(index * 1e9 / source.rate) if image.stamp is None else image.stamp
        camera = image.camera if intrinsics is None else pinhole_camera(intrinsics, image)
        names = (image.frame_id, right_names.get(image.frame_id)) if source.stereo else (image.frame_id,)
        defaults = PAIR_FRAME_IDS if source.stereo else (FRAME_ID,)
        frame_ids = tuple(default if name is None else name for name, default in zip(names, defaults))
        fits = mask is None or mask.shape == (image.height, image.width)
        count, without_mask = count + 1, without_mask + (not fits)
        yield SequenceFrame(index, stamp, image, image.gray(), camera, frame_ids, mask if fits else None)
    if without_mask:
        log.warning("the mask was not used for %d of %d images, which have another size", without_mask, count)


def pinhole_camera(intrinsics: list[float], image: SourceImage) -> Camera:
    """The camera of an image by fx, fy, cx, cy and no or four distortion coefficients k1, k2, p1, p2 (OpenCV's)."""
    fx, fy, cx, cy, *distortion = intrinsics
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return Camera(image.width, image.height, matrix, np.array(distortion))


def _fits(camera: Camera | None, image: SourceImage) -> TypeGuard[Camera]:
    """Whether a calibration is known, and is that of images of this size."""
    return camera is not None and (camera.width, camera.height) == (image.width, image.height)
