"""Calibrations from the last camera_info of each camera, and the geometry of a stereo pair."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from ...geometry.camera import Camera, camera_from_message
from ...geometry.stereo_geometry import StereoGeometry


class Calibration:
    """Calibration of one camera. `camera` is None without usable intrinsics; `problem` is then the reason."""

    def __init__(self, topic: str) -> None:
        self._seen: CameraInfo | None = None  # the last one, without its header
        self.received = False  # whether a camera_info has arrived
        self.camera: Camera | None = None
        self.problem = f"no camera_info on {topic} yet: remap camera_info if you need rays"

    def update(self, message: CameraInfo) -> bool:
        """Take in a camera_info. Returns False if it is not usable and differs from the one before."""
        seen = deepcopy(message)
        seen.header = Header()
        if seen == self._seen:
            return True
        self._seen, self.received = seen, True
        try:
            self.camera, self.problem = camera_from_message(message), ""
        except ValueError as error:
            self.camera, self.problem = None, str(error)
        return self.camera is not None

    def of(self, shape: tuple[int, ...]) -> Camera:
        """The calibration of images (H, W). Raises ValueError, naming the fix, when there is none."""
        camera = self.camera
        if camera is None:
            raise ValueError(self.problem)
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
        self._geometry = lru_cache(maxsize=1)(StereoGeometry)

    def of(self, left_shape: tuple[int, ...], right_shape: tuple[int, ...]) -> StereoGeometry:
        """The geometry of a pair of images (H, W). Raises ValueError, naming the fix, when there is none."""
        return self._geometry(self.left.of(left_shape), self.right.of(right_shape))
