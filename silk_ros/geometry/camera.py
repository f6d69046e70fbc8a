"""The calibration of a camera, as a sensor_msgs/CameraInfo holds it, and the undistorted rays of its pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dialects import canonical_model
from .lens import EquidistantLens, Lens, OpenCvLens

RECTIFIED = ("auto", "true", "false")  # whether images are rectified already; auto: by the name of their topic
RECTIFIED_NAME = re.compile("(^|_)rect(ified)?(_|$)")

TOLERANCE = 1e-4  # pixels between a pixel and the projection of its ray


@dataclass(frozen=True, eq=False)
class Camera:
    """Calibration of one camera.

    width, height: pixels of the images it belongs to.
    matrix:        (3, 3), the K of camera_info.
    model:         plumb_bob, rational_polynomial or equidistant. Other names of these are taken too, and replaced.
    distortion:    the D of camera_info, its length given by `model`; zeros beyond it are cut off.
    rectification: (3, 3), the R of camera_info, a rotation to the axes of the rectified camera. Zeros: none.
    projection:    (3, 4), the P of camera_info, from those axes to rectified pixels; for the right camera of a pair,
                   P[0, 3] is -P[0, 0] times the metres between the two. Zeros, as in an uncalibrated camera_info: K.

    Raises ValueError, naming the fix, for intrinsics that cannot be used.
    """

    width: int
    height: int
    matrix: NDArray[np.float64]
    distortion: NDArray[np.float64]
    model: str = "plumb_bob"
    rectification: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 3)))
    projection: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 4)))

    def __post_init__(self) -> None:
        # Contiguous: OpenCV misreads the columns of a projection matrix in findEssentialMat, without an error.
        matrix = np.ascontiguousarray(self.matrix, np.float64)
        distortion = np.asarray(self.distortion, np.float64).ravel()
        if matrix.size != 9 or not np.isfinite(matrix).all():
            raise ValueError("camera_info.k is not nine finite numbers: calibrate the camera")
        matrix = matrix.reshape(3, 3)
        if self.width <= 0 or self.height <= 0:
            raise ValueError(
                f"camera_info is for images of {self.width}x{self.height} pixels: set their width and height, and a "
                "binning that leaves pixels"
            )
        if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
            raise ValueError("camera_info.k has no focal length: the camera is not calibrated")
        if not is_projection(matrix):
            raise ValueError("the rows of camera_info.k must be fx s cx, 0 fy cy, 0 0 1: calibrate the camera")
        if not np.isfinite(distortion).all():
            raise ValueError("camera_info.d does not hold finite numbers: calibrate the camera")
        model, distortion = canonical_model(self.model, distortion)
        rectification = np.asarray(self.rectification, np.float64)
        projection = np.asarray(self.projection, np.float64)
        if rectification.size != 9 or not np.isfinite(rectification).all():
            raise ValueError("camera_info.r is not nine finite numbers: calibrate the camera")
        if projection.size != 12 or not np.isfinite(projection).all():
            raise ValueError("camera_info.p is not twelve finite numbers: calibrate the camera")
        if not rectification.any():
            rectification = np.eye(3)
        if not projection.any():
            projection = np.column_stack([matrix, np.zeros(3)])
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "distortion", distortion)
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "rectification", rectification.reshape(3, 3))
        object.__setattr__(self, "projection", projection.reshape(3, 4))

    def rays(self, pixels: ArrayLike) -> NDArray[np.float32]:
        """Undistorted rays (N, 3) float32, z = 1, of pixel positions (N, 2).

        A ray is NaN where the calibration has none: beyond the first fold of the distortion, and 90 degrees or more
        from the optical axis. All others project back to their pixels.
        """
        (fx, skew, cx), (_, fy, cy), _ = self.matrix.tolist()
        u, v = np.asarray(pixels, np.float64).reshape(-1, 2).T
        with np.errstate(all="ignore"):
            y = (v - cy) / fy
            places = np.stack([(u - cx - skew * y) / fx, y])
            if self._lens is not None:
                places = self._lens.undistort(places)
            rays = np.ones((len(u), 3), np.float32)
            rays[:, :2] = places.T
            missing = ~np.isfinite(rays[:, 0] + rays[:, 1])
        rays[missing] = np.nan
        return rays

    @cached_property
    def _lens(self) -> Lens | None:
        """The model of the distortion; None for none."""
        if self.model != "equidistant" and not self.distortion.any():
            return None
        kind = EquidistantLens if self.model == "equidistant" else OpenCvLens
        corners = np.array([[x, y, 1.0] for x in (0, self.width - 1) for y in (0, self.height - 1)])
        with np.errstate(all="ignore"):
            reach = float(np.hypot(*(corners @ np.linalg.inv(self.matrix).T)[:, :2].T).max())
            return kind(self.distortion, reach, TOLERANCE / max(self.matrix[0, 0], self.matrix[1, 1]))

    def same_intrinsics(self, other: Camera) -> bool:
        """Whether the pixels of both cameras have the same rays."""
        parts = ("width", "height", "model", "matrix", "distortion")
        return all(np.array_equal(getattr(self, part), getattr(other, part)) for part in parts)

    def check_size(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError, naming the fix, if the calibration is not for images (H, W) of this shape."""
        height, width = shape[:2]
        if (self.width, self.height) != (width, height):
            raise ValueError(
                f"camera_info is for {self.width}x{self.height} images, but they are {width}x{height}: "
                "publish the intrinsics of these images, with their binning and region of interest"
            )


def is_projection(matrix: NDArray[np.float64]) -> bool:
    """Whether a matrix (3, 3) maps camera axes to pixels: positive focal lengths over a last row of 0 0 1."""
    return bool((matrix.diagonal() > 0).all() and matrix[2, 2] == 1 and not np.tril(matrix, -1).any())


def is_rectified(choice: str, topic: str) -> bool:
    """Whether the images of a topic are rectified: the choice of RECTIFIED, for auto by the name of the topic.

    The word `rect` or `rectified` says so in either of the last two parts, as in image_rect_color and left_rect/image.
    The name of a transport may follow.
    """
    names = topic.removesuffix("/compressed").split("/")[-2:]
    return choice == "true" or (choice == "auto" and any(map(RECTIFIED_NAME.search, names)))


def rectified_notes(choice: str, topics: Sequence[str]) -> tuple[str, str]:
    """How images are taken, and why; and a doubt about that, empty where there is none.

    topics: of which the images have one, and whose names decide for auto.
    """
    names, rectified = " or ".join(topics), any(is_rectified(choice, topic) for topic in topics)
    what = "rectified: P of camera_info holds" if rectified else "not rectified: K and D of camera_info hold"
    why = f"since the parameter rectified is {choice}"
    if choice == "auto":
        why = f"by the topic's name: set rectified to {'false' if rectified else 'true'} if that is wrong"
    doubt = ""
    if not rectified and any(is_rectified("auto", topic) for topic in topics):
        doubt = f"{names} is a name of rectified images: set rectified to auto or true if they are"
    return f"images on {names} are taken as {what}, {why}", doubt


def camera_from_message(message: Any, rectified: bool = False) -> Camera:
    """The calibration of the images of a sensor_msgs/CameraInfo, with its region of interest and binning.

    rectified: whether the images are rectified already, so that P holds for them and not K, D and R. The camera is
               then the rectified one: its axes are those to which R rotates, and its images have no distortion.

    K and P are those of the sensor's full resolution. Raises ValueError, naming the fix, when it is not usable.
    """
    roi, binning = message.roi, (message.binning_x or 1, message.binning_y or 1)
    size = (roi.width or message.width, roi.height or message.height)  # a region of zeros stands for the full image
    if roi.x_offset + size[0] > message.width or roi.y_offset + size[1] > message.height:
        raise ValueError(
            f"the region of interest in camera_info, {size[0]}x{size[1]} at {roi.x_offset} {roi.y_offset}, is not "
            f"inside its {message.width}x{message.height} pixels: fix 'roi' or the size in the camera driver"
        )
    to_image = np.eye(3)  # from full-resolution pixels to those of the image
    for axis, (offset, factor) in enumerate(zip((roi.x_offset, roi.y_offset), binning)):
        to_image[axis, axis] = 1 / factor
        to_image[axis, 2] = (0.5 - offset) / factor - 0.5  # a binned pixel has the mean centre of its pixels
    matrix, projection = _with_last_row(message.k, 3), _with_last_row(message.p, 4)
    distortion, model, rectification = np.array(message.d), message.distortion_model, np.array(message.r)
    if rectified:
        matrix = _rectified_matrix(matrix, projection, distortion)
        distortion, model, rectification = np.empty(0), "", np.eye(3)
    elif not matrix[:2, :2].any() and projection[:2, :2].any():
        raise ValueError(
            "camera_info.k is empty, but p is not: set rectified to true if the images are rectified, and calibrate "
            "the camera otherwise"
        )
    size = size[0] // binning[0], size[1] // binning[1]
    with np.errstate(invalid="ignore"):
        matrix, projection = to_image @ matrix, to_image @ projection
    return Camera(*size, matrix, distortion, model, rectification, projection)


def _with_last_row(values: ArrayLike, columns: int) -> NDArray[np.float64]:
    """K or P (3, columns) from its numbers, where drivers that leave out the constant 1 get it back."""
    matrix = np.array(values, np.float64).reshape(3, columns)
    if matrix.any() and not matrix[2].any():
        matrix[2, 2] = 1
    return matrix


def _rectified_matrix(
    matrix: NDArray[np.float64], projection: NDArray[np.float64], distortion: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The intrinsics (3, 3) of rectified images: those of P, and K where P is empty and nothing was to rectify."""
    if projection.any():
        if not np.isfinite(projection).all() or not is_projection(projection[:, :3]):
            raise ValueError(
                "the rows of camera_info.p must be fx 0 cx tx, 0 fy cy ty, 0 0 1 0 for rectified images: calibrate the "
                "camera, or set rectified to false if the images are not rectified"
            )
        return projection[:, :3]
    if distortion.any():
        raise ValueError(
            "camera_info.p is empty, which rectified images need: publish the p of the rectified camera, or set "
            "rectified to false if the images are not rectified"
        )
    return matrix
