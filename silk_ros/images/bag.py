"""The images of a rosbag2 or MCAP recording, and of a ROS 1 bag."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from ..geometry.camera import RECTIFIED, is_rectified, rectified_notes
from .bag_cameras import RecordedCameras
from .bag_messages import header_stamp, image_from_message
from .bag_topics import ImageTopics
from .source import DEFAULT_RATE, Lost, Source, SourceImage
from .storage.base import INFO

if TYPE_CHECKING:
    from .storage.recording import Recorded

log = logging.getLogger(__name__)

RATE_IMAGES = 100  # from whose stamps the rate is taken


class _Waiting(NamedTuple):
    """An image that waits for the camera_info with its stamp, and the newest camera_info before it."""

    image: SourceImage
    stamp: int
    info_before: Any


class BagSource(Source):
    """The images of one topic of a recording, with its camera_info where it was recorded.

    A recording is a rosbag2 folder or one of its files (.mcap or .db3, also .zstd), or a .bag file of ROS 1.
    topic: the first usable one by name if empty. rectified: one of RECTIFIED, whether the images are rectified.

    Raises ValueError, OSError or ImportError, naming the fix, for a recording without a usable topic.
    """

    def __init__(self, path: Path, topic: str = "", rectified: str = RECTIFIED[0]) -> None:
        super().__init__(str(path))
        try:
            from .storage.recording import Recording
        except ImportError as error:
            raise ImportError("reading a recording needs more libraries: pip install rosbags mcap pyyaml") from error
        self._recording = Recording(path)
        topics = ImageTopics(self._recording)
        self._topic = topics.choose(topic)
        self.about = "" if topic else topics.about(self._topic)
        # image_transport publishes /camera/image_raw/compressed beside /camera/camera_info.
        self._info_topic = self._topic.removesuffix("/compressed").rsplit("/", 1)[0] + "/camera_info"
        self._rectified = is_rectified(rectified, self._topic)
        self.rate = self._recorded_rate()
        self._log_calibration(rectified)

    def _log_calibration(self, rectified: str) -> None:
        recorded = self._recording.topics
        if self._info_topic in recorded:
            said, doubt = rectified_notes(rectified, [self._topic])
            log.info("%s", said)
            if doubt:
                log.warning("%s", doubt)
            return
        others = [topic for topic, channels in sorted(recorded.items()) if any(c.type == INFO for c in channels)]
        there = f"there is {', '.join(others)}" if others else "no camera_info was recorded"
        log.info(
            "the images of %s have no calibration, which is sought on %s: %s", self._topic, self._info_topic, there
        )

    def _recorded_rate(self) -> float:
        items = islice(self._recording.read([self._topic]), RATE_IMAGES)
        times = [(header_stamp(item.message), item.time) for item in items if not isinstance(item.message, Lost)]
        stamps = [stamp for stamp, _ in times]
        if len(set(stamps)) < 2 or 0 in stamps:  # of a driver without a clock
            stamps = [received for _, received in times]
        intervals = [after - before for before, after in pairwise(stamps) if after > before]
        return 1e9 / median(intervals) if intervals else DEFAULT_RATE

    def _read(self) -> Iterator[SourceImage | Lost]:
        cameras = RecordedCameras(self._rectified)
        infos = (item.message for item in self._recording.read([self._info_topic]) if item.type == INFO)
        first_info = next((message for message in infos if not isinstance(message, Lost)), None)
        if first_info is not None:
            cameras.add(first_info)  # of the images before it
        waiting: _Waiting | None = None
        for item in self._recording.read([self._topic, self._info_topic]):
            if item.type == INFO:
                self._add_info(cameras, item)
                continue
            if waiting is not None:
                yield _with_camera(waiting, cameras)
                waiting = None
            image = self._image(item)
            if isinstance(image, Lost):
                yield image
            else:
                waiting = _Waiting(image, header_stamp(item.message), cameras.newest)
        if waiting is not None:
            yield _with_camera(waiting, cameras)

    def _add_info(self, cameras: RecordedCameras, item: Recorded) -> None:
        if isinstance(item.message, Lost):
            self._say(item.message.reason, f"'{self.name}', {item.place}: left out: {item.message.reason}")
        else:
            cameras.add(item.message)

    def _image(self, item: Recorded) -> SourceImage | Lost:
        if isinstance(item.message, Lost):
            return item.message
        if not header_stamp(item.message):
            self._say(
                "stamp", f"'{self.name}': images have zero stamps: the times when they were recorded replace them"
            )
        try:
            return image_from_message(item.message, item.type, item.time)
        except ValueError as error:
            return Lost(item.place, str(error))


def _with_camera(waiting: _Waiting, cameras: RecordedCameras) -> SourceImage:
    image = waiting.image
    camera, problem = cameras.of(waiting.stamp, waiting.info_before, (image.width, image.height))
    return replace(image, camera=camera, camera_problem=problem)
