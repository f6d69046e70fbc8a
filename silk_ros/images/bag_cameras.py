"""The calibrations of recorded images, from the camera_infos that lie around them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..geometry.camera import Camera, camera_from_message
from .bag_messages import stamp_or_zero
from .bag_topics import listed

RECENT = 64  # camera_infos that are searched for the stamp of an image
CALIBRATIONS = 16  # of different content, and frame_ids of camera_infos, that are kept
WINDOW = 10 * 10**9  # nanoseconds for which a frame_id is taken as in use; the node has the same
COUNTED = 16  # new frame_ids in a row, from more of which on they number the images; as in the node


@dataclass(frozen=True)
class _Info:
    """A camera_info. Those with the same content, header aside, are equal."""

    content: tuple[object, ...]
    message: SimpleNamespace = field(compare=False)


class Heard(NamedTuple):
    """The newest camera_info of a frame_id. time: of its reception, in nanoseconds."""

    time: int
    info: _Info


class RecordedCameras:
    """The camera of each image: of the camera_info with its stamp, or else of the newest one before it.

    Of cameras that share a topic, each has the camera_infos with its frame_id. Where all images are of one frame_id,
    and so are all camera_infos of WINDOW, they belong together whatever their names are, unless names have agreed
    before, as in the node.

    first_infos: the first camera_infos of the recording, of which images before them have the first usable one.
    frame_ids:   of the first images. Both come with their times of reception in nanoseconds.
    topic:       of the camera_infos.
    """

    def __init__(
        self,
        topic: str,
        rectified: bool,
        first_infos: Iterable[tuple[Any, int]],
        frame_ids: Iterable[tuple[str, int]],
    ) -> None:
        self._topic, self._rectified = topic, rectified
        self._camera = lru_cache(maxsize=CALIBRATIONS)(self._read)
        self._recent: deque[tuple[str, int, _Info]] = deque(maxlen=RECENT)  # frame_id, stamp
        self._first: dict[str, _Info] = {}  # the first usable one of each frame_id, else the first
        self.newest: Mapping[str, Heard] = {}  # by frame_id; replaced as a whole
        for message, time in first_infos:
            frame_id, info = message.header.frame_id, _info(message)
            before = self._first.get(frame_id)
            if before is None or (self._camera(before)[0] is None and self._camera(info)[0] is not None):
                self._first[frame_id] = info
            self._hear(frame_id, time, self._first[frame_id])
        self._seen: dict[str, int] = {}  # times of the last images of each frame_id
        self._new, self._counts, self._agreed = 0, False, False
        for frame_id, time in frame_ids:
            self.see(frame_id, time)

    def _hear(self, frame_id: str, time: int, info: _Info) -> None:
        others = [item for item in self.newest.items() if item[0] != frame_id]
        self.newest = dict([*others, (frame_id, Heard(time, info))][-CALIBRATIONS:])

    def add(self, message: Any, time: int) -> str:
        """Take in a camera_info. Returns why it is replaced by the first usable one, if it lies before that."""
        frame_id, info, problem = message.header.frame_id, _info(message), ""
        first, newest = self._first.get(frame_id), self.newest.get(frame_id)
        if first is not None and newest is not None and newest.info is first and self._camera(first)[0] is not None:
            problem = self._camera(info)[1]
            info = first if problem else info
        self._recent.append((frame_id, stamp_or_zero(message), info))
        self._hear(frame_id, time, info)
        return problem

    def see(self, frame_id: str, time: int) -> None:
        """Take in the frame_id of an image."""
        self._new = 0 if frame_id in self._seen else self._new + 1
        self._counts |= self._new > COUNTED
        self._agreed |= frame_id in self.newest
        if frame_id not in self._seen:
            self._seen = {name: seen for name, seen in self._seen.items() if time - seen <= WINDOW}
        self._seen[frame_id] = max(time, self._seen.get(frame_id, time))

    def with_stamp(self, frame_id: str, stamp: int) -> _Info | None:
        """The camera_info with the stamp of an image in nanoseconds, if it is among the last ones."""
        wanted = self._frame_of(frame_id), stamp
        return next((info for *key, info in reversed(self._recent) if stamp and tuple(key) == wanted), None)

    def of(
        self, frame_id: str, info: _Info | None, before: Mapping[str, Heard], size: tuple[int, int]
    ) -> tuple[Camera | None, str]:
        """The camera (or None) of an image and, if it has none, why (else empty).

        info: with its stamp. before: the newest ones when the image was recorded. size: width and height in pixels.
        """
        if info is None:
            frame = self._frame_of(frame_id)
            heard = before.get(frame) or self.newest.get(frame)
            if heard is None:
                return None, self._missing(frame_id)
            info = heard.info
        camera, problem = self._camera(info)
        if camera is not None:
            try:
                camera.check_size(size[::-1])
            except ValueError as error:
                return None, str(error)
        return camera, problem

    def _frame_of(self, frame_id: str) -> str:
        """The frame_id of the camera_infos of an image."""
        if frame_id in self.newest or not self.newest:
            return frame_id
        last = max(self._seen.values(), default=0)
        has_several = sum(last - seen <= WINDOW for seen in self._seen.values()) > 1
        by_name = self._agreed or has_several or len(self._names()) > 1
        return frame_id if by_name and not self._counts else list(self.newest)[-1]

    def _names(self) -> list[str]:
        """The frame_ids of the camera_infos of WINDOW."""
        last = max(heard.time for heard in self.newest.values())
        return sorted(name for name, heard in self.newest.items() if last - heard.time <= WINDOW)

    def _missing(self, frame_id: str) -> str:
        if not self.newest:
            return ""
        return (
            f"camera_info on {self._topic} is of {listed([repr(name) for name in self._names()])}, "
            f"but the images are of {frame_id!r}: give images and camera_info of a camera the same frame_id"
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
