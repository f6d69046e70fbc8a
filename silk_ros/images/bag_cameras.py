"""The calibrations of recorded images, from the camera_infos that lie around them."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..geometry.camera import Camera, camera_from_message
from .bag_messages import header_stamp

RECENT = 8  # camera_infos that are searched for the stamp of an image


class RecordedCameras:
    """The camera of each image: of the camera_info with its stamp, or else of the newest one before it."""

    def __init__(self, rectified: bool) -> None:
        self._rectified = rectified
        self._recent: deque[tuple[int, SimpleNamespace]] = deque(maxlen=RECENT)
        self._content: tuple[object, ...] = ()
        self._camera: Camera | None = None
        self._problem = ""

    def add(self, message: Any) -> None:
        """Take in a camera_info."""
        fields = {name.lower(): value for name, value in vars(message).items()}  # D, K, R and P in ROS 1
        self._recent.append((header_stamp(message), SimpleNamespace(**fields)))

    @property
    def newest(self) -> Any:
        """The newest camera_info; None without any."""
        return self._recent[-1][1] if self._recent else None

    def of(self, stamp: int, before: Any, size: tuple[int, int]) -> tuple[Camera | None, str]:
        """The camera of an image, or why it has none.

        stamp: of its header, in nanoseconds. before: the newest camera_info when it was recorded. size: width, height.
        """
        info = before
        if stamp:
            info = next((info for time, info in reversed(self._recent) if time == stamp), before)
        if info is None:
            return None, ""
        content = _content(info)
        if content != self._content:
            self._content = content
            try:
                self._camera, self._problem = camera_from_message(info, self._rectified), ""
            except ValueError as error:
                self._camera, self._problem = None, str(error)
        camera = self._camera
        if camera is not None and (camera.width, camera.height) != size:
            return None, (
                f"camera_info is for {camera.width}x{camera.height} images, but they are {size[0]}x{size[1]}: "
                "give the intrinsics of these images"
            )
        return camera, self._problem


def _content(info: SimpleNamespace) -> tuple[object, ...]:
    """What of a camera_info makes its camera."""
    arrays = (np.asarray(array).tobytes() for array in (info.d, info.k, info.r, info.p))
    size, binning = (info.width, info.height), (info.binning_x, info.binning_y)
    return size, info.distortion_model, *arrays, binning, *vars(info.roi).values()
