"""Calibrations from the last camera_info of each camera, and the geometry of a stereo pair."""

from __future__ import annotations

from copy import copy, deepcopy
from functools import lru_cache
from time import monotonic
from typing import NamedTuple

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from ...cameras import CAMERAS, WINDOW, StreamWatch, quoted
from ...geometry.camera import Camera, camera_from_message
from ...geometry.stereo_geometry import StereoGeometry

MOST_KNOWN = 16  # frame_ids whose camera_info is kept


class _Intrinsics(NamedTuple):
    """What the last camera_info of a frame_id holds. `camera` is None, and `problem` the reason, without intrinsics."""

    seen: CameraInfo  # without its header
    camera: Camera | None
    problem: str
    heard: float = 0.0  # when it came, in seconds of the monotonic clock


class Calibration:
    """Calibration of the camera on one topic; of several that share it, by the frame_id of image and camera_info.

    Where all images are of one frame_id, and so is all camera_info of the last WINDOW seconds, they belong together
    whatever their names are, unless names have agreed before. One thread may update what others read.
    """

    def __init__(self, topic: str, rectified: bool = False, images: StreamWatch | None = None) -> None:
        """rectified: whether the images are rectified already (`camera_from_message`). images: the watch of these."""
        self._topic, self._rectified, self._images = topic, rectified, images or StreamWatch()
        self._known: dict[str, _Intrinsics] = {}  # by frame_id, the newest last; replaced as a whole
        self._agreed = False  # whether images have had the frame_id of a camera_info

    @property
    def received(self) -> bool:
        """Whether a camera_info has arrived."""
        return bool(self._known)

    @property
    def problem(self) -> str:
        """Why the newest camera_info is not usable; empty where it is."""
        if not self._known:
            return f"no camera_info on {self._topic} yet: remap camera_info to that of the camera"
        return next(reversed(self._known.values())).problem

    def update(self, message: CameraInfo) -> bool:
        """Take in a camera_info. Returns False if it is not usable and differs from the one before."""
        known, frame_id = dict(self._known), message.header.frame_id
        before = known.pop(frame_id, None)
        seen = copy(message)
        seen.header = Header()
        intrinsics = before if before is not None and seen == before.seen else self._read(deepcopy(seen))
        heard = intrinsics._replace(heard=monotonic())
        self._known = dict([*known.items(), (frame_id, heard)][-MOST_KNOWN:])
        return intrinsics is before or not intrinsics.problem

    def _read(self, message: CameraInfo) -> _Intrinsics:
        try:
            return _Intrinsics(message, camera_from_message(message, self._rectified), "")
        except ValueError as error:
            return _Intrinsics(message, None, str(error))

    def camera(self, frame_id: str) -> Camera:
        """The calibration of images of a frame_id. Raises ValueError, naming the fix, when there is none."""
        own = self._known.get(frame_id)
        self._agreed |= own is not None
        intrinsics = own or self._other(frame_id)
        if intrinsics.camera is None:
            raise ValueError(intrinsics.problem)
        return intrinsics.camera

    def _other(self, frame_id: str) -> _Intrinsics:
        """The newest camera_info for images of a frame_id that none has."""
        known = self._known
        if not known:
            raise ValueError(self.problem)
        newest = next(reversed(known.values()))
        names = [name for name, each in known.items() if newest.heard - each.heard <= WINDOW]
        by_name = self._agreed or len(names) > 1 or self._images.is_mixed(monotonic())
        if by_name and not self._images.counts:
            raise ValueError(
                f"camera_info on {self._topic} is of {quoted(names)}, but the images are of "
                f"{quoted([frame_id])}: give images and camera_info of a camera the same frame_id"
            )
        return newest

    def of(self, shape: tuple[int, ...], frame_id: str = "") -> Camera:
        """The calibration of images (H, W) of a frame_id. Raises ValueError, naming the fix, when there is none."""
        camera = self.camera(frame_id)
        camera.check_size(shape)
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
