"""The calibrations of recorded images, from the camera_infos that lie around them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..geometry.camera import Camera, camera_from_message
from .bag_messages import stamp_or_zero
from .bag_topics import listed

RECENT = 64  # camera_infos of a frame_id that are searched for the stamp of an image
CAMERAS = 16  # calibrations of different content that are kept


@dataclass(frozen=True)
class _Info:
    """A camera_info. Those with the same content, header aside, are equal."""

    content: tuple[object, ...]
    message: SimpleNamespace = field(compare=False)


class RecordedCameras:
    """The camera of each image: of the camera_info with its stamp, or else of the newest one before it.

    Of cameras that share a topic, each has the camera_infos with its frame_id. Where all images are of one frame_id,
    and all camera_infos too, they belong together whatever these are.

    first_infos: the first camera_infos of the recording, of which images before them have the first usable one.
    frame_ids:   of the first images. topic: of the camera_infos.
    """

    def __init__(self, topic: str, rectified: bool, first_infos: Iterable[Any], frame_ids: Iterable[str]) -> None:
        self._topic, self._rectified = topic, rectified
        self._image_frames = set(frame_ids)
        self._camera = lru_cache(maxsize=CAMERAS)(self._read)
        self._recent: dict[str, deque[tuple[int, _Info]]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._first: dict[str, _Info] = {}  # the first usable one of each frame_id, else the first
        for message in first_infos:
            frame_id, info = message.header.frame_id, _info(message)
            before = self._first.get(frame_id)
            if before is None or (self._camera(before)[0] is None and self._camera(info)[0] is not None):
                self._first[frame_id] = info
        self.newest = dict(self._first)  # by frame_id; replaced as a whole

    def add(self, message: Any) -> str:
        """Take in a camera_info. Returns why it is replaced by the first usable one, if it lies before that."""
        frame_id, info, problem = message.header.frame_id, _info(message), ""
        first = self._first.setdefault(frame_id, info)
        if self.newest.get(frame_id, first) is first and self._camera(first)[0] is not None:
            problem = self._camera(info)[1]
        info = first if problem else info
        self._recent[frame_id].append((stamp_or_zero(message), info))
        self.newest = {**self.newest, frame_id: info}
        return problem

    def see(self, frame_id: str) -> None:
        """Take in the frame_id of an image."""
        self._image_frames.add(frame_id)

    def with_stamp(self, frame_id: str, stamp: int) -> _Info | None:
        """The camera_info with the stamp of an image in nanoseconds, if it is among the last ones."""
        recent = self._recent.get(self._frame_of(frame_id), ())
        return next((info for time, info in reversed(recent) if stamp and time == stamp), None)

    def of(
        self, frame_id: str, info: _Info | None, before: dict[str, _Info], size: tuple[int, int]
    ) -> tuple[Camera | None, str]:
        """The camera (or None) of an image and, if it has none, why (else empty).

        info: with its stamp. before: the newest ones when the image was recorded. size: width and height in pixels.
        """
        if info is None:
            frame = self._frame_of(frame_id)
            info = before.get(frame) or self._first.get(frame)
        if info is None:
            return None, self._missing(frame_id)
        camera, problem = self._camera(info)
        if camera is not None:
            try:
                camera.check_size(size[::-1])
            except ValueError as error:
                return None, str(error)
        return camera, problem

    def _frame_of(self, frame_id: str) -> str:
        """The frame_id of the camera_infos of an image."""
        is_one_camera = len(self._first) == 1 and self._image_frames <= {frame_id}
        return next(iter(self._first)) if is_one_camera else frame_id

    def _missing(self, frame_id: str) -> str:
        if not self._first:
            return ""
        known = listed([repr(name) for name in sorted(self._first)])
        return (
            f"camera_info on {self._topic} is of {known}, but the images are of {frame_id!r}: "
            "give images and camera_info of a camera the same frame_id"
        )

    def _read(self, info: _Info) -> tuple[Camera | None, str]:
        try:
            return camera_from_message(info.message, self._rectified), ""
        except ValueError as error:
            return None, str(error)


def _info(message: Any) -> _Info:
    fields = {name.lower(): value for name, value in vars(message).items()}  # D, K, R and P in ROS 1
    info = SimpleNamespace(**fields)
    arrays = (np.asarray(array).tobytes() for array in (info.d, info.k, info.r, info.p))
    size, binning = (info.width, info.height), (info.binning_x, info.binning_y)
    return _Info((size, info.distortion_model, *arrays, binning, *vars(info.roi).values()), info)
