"""Calibrations from the last camera_info of each camera, and the geometry of a stereo pair."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from ...cameras import CAMERAS, PerCamera
from ...geometry.camera import Camera, camera_from_message
from ...geometry.stereo_geometry import StereoGeometry


class _Intrinsics:
    """What the last camera_info of one frame_id holds. `camera` is None without usable intrinsics."""

    def __init__(self) -> None:
        self.seen: CameraInfo | None = None  # the last one, without its header
        self.camera: Camera | None = None
        self.problem = ""


class Calibration:
    """Calibration of the camera on one topic; of several that share it, by the frame_id of image and camera_info.

    Where all camera_info is of one frame_id, it is that of all images. `problem`: why the newest camera_info is not
    usable; empty where it is.
    """

    def __init__(self, topic: str, rectified: bool = False) -> None:
        """rectified: whether the images are rectified already (`camera_from_message`)."""
        self._topic, self._rectified = topic, rectified
        self._cameras = PerCamera(_Intrinsics)
        self._newest: _Intrinsics | None = None
        self.problem = f"no camera_info on {topic} yet: remap camera_info if you need rays"

    @property
    def received(self) -> bool:
        """Whether a camera_info has arrived."""
        return self._newest is not None

    def update(self, message: CameraInfo) -> bool:
        """Take in a camera_info. Returns False if it is not usable and differs from the one before."""
        self._newest = known = self._cameras.of(message.header.frame_id)
        header, message.header = message.header, Header()
        same = message == known.seen
        if not same:
            known.seen = deepcopy(message)
            try:
                known.camera, known.problem = camera_from_message(message, self._rectified), ""
            except ValueError as error:
                known.camera, known.problem = None, str(error)
        message.header, self.problem = header, known.problem
        return same or known.camera is not None

    def camera(self, frame_id: str) -> Camera:
        """The calibration of images of a frame_id. Raises ValueError, naming the fix, when there is none."""
        known = self._cameras.known(frame_id)
        if known is None and len(self._cameras) > 1:
            raise ValueError(
                f"several cameras send camera_info on {self._topic}, and none has the frame_id of the images, "
                f"{frame_id[:40]!r}: give images and camera_info of a camera the same frame_id"
            )
        known = known or self._newest
        if known is None or known.camera is None:
            raise ValueError(known.problem if known else self.problem)
        return known.camera

    def of(self, shape: tuple[int, ...], frame_id: str = "") -> Camera:
        """The calibration of images (H, W) of a frame_id. Raises ValueError, naming the fix, when there is none."""
        camera = self.camera(frame_id)
        height, width = shape
        if (camera.width, camera.height) != (width, height):
            fix = "publish the intrinsics of these images, with their binning and region of interest"
            sizes = f"{camera.width}x{camera.height} images, but they are {width}x{height}"
            raise ValueError(f"camera_info is for {sizes}: {fix}")
        return camera


class StereoCalibration:
    """Calibration of a stereo pair; its geometry is rebuilt when either camera_info changes."""

    def __init__(self, left: Calibration, right: Calibration) -> None:
        self.left, self.right = left, right
        self._geometry = lru_cache(maxsize=CAMERAS)(StereoGeometry)

    def of(
        self, left_shape: tuple[int, ...], right_shape: tuple[int, ...], left_frame: str = "", right_frame: str = ""
    ) -> StereoGeometry:
        """The geometry of a pair of images (H, W) of two frame_ids. Raises ValueError, naming the fix, without one."""
        return self._geometry(self.left.of(left_shape, left_frame), self.right.of(right_shape, right_frame))
