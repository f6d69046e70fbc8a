"""Calibrations from the last camera_info of each camera, and the geometry of a stereo pair."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo

from ...geometry.camera import Camera, camera_from_message
from ...geometry.stereo_geometry import StereoGeometry


class Calibration:
    """Calibration of one camera. `camera` is None without usable intrinsics; `problem` is then the reason."""

    def __init__(self, topic: str) -> None:
        self._seen: tuple[object, ...] | None = None
        self.camera: Camera | None = None
        self.problem = f"no camera_info on {topic} yet: remap camera_info if you need rays"

    @property
    def received(self) -> bool:
        """Whether a camera_info has arrived."""
        return self._seen is not None

    def update(self, message: CameraInfo) -> bool:
        """Take in a camera_info. Returns False if it is not usable and differs from the one before."""
        roi = message.roi
        seen = (
            (message.width, message.height, message.distortion_model, tuple(message.d)),
            (tuple(message.k), tuple(message.r), tuple(message.p)),
            (message.binning_x, message.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height),
        )
        if seen == self._seen:
            return True
        self._seen = seen
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
            raise ValueError(
                f"camera_info is for {camera.width}x{camera.height} images, but they are "
                f"{width}x{height}: publish the intrinsics of these images, with their binning and region of interest"
            )
        return camera


class StereoCalibration:
    """Calibration of a stereo pair; its geometry is rebuilt when either camera_info changes."""

    def __init__(self, left: Calibration, right: Calibration) -> None:
        self.left, self.right = left, right
        self._made: tuple[Camera, Camera, StereoGeometry] | None = None

    def of(self, left_shape: tuple[int, ...], right_shape: tuple[int, ...]) -> StereoGeometry:
        """The geometry of a pair of images (H, W). Raises ValueError, naming the fix, when there is none."""
        left, right = self.left.of(left_shape), self.right.of(right_shape)
        if self._made is None or self._made[0] is not left or self._made[1] is not right:
            self._made = left, right, StereoGeometry(left, right)
        return self._made[2]
