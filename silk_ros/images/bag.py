"""The images of a rosbag2 or MCAP recording, and of a ROS 1 bag."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..geometry.camera import RECTIFIED, is_rectified, rectified_notes
from .bag_cameras import Heard, RecordedCameras
from .bag_messages import header_stamp, image_from_message, stamp_or_zero
from .bag_stamps import RecordedClock
from .bag_topics import ImageTopics
from .source import Lost, Source, SourceImage
from .storage.base import INFO

if TYPE_CHECKING:
    from .storage.recording import Recorded

log = logging.getLogger(__name__)

FIRST = 100  # images and camera_infos from which the clock, the rate and the frame_ids are taken
WAIT = 4  # images that are held back for their camera_info


class _Waiting(NamedTuple):
    """An image that waits for the camera_info with its stamp, or the loss in its place.

    stamp: of its header. before: the newest camera_infos when it was recorded.
    """

    item: SourceImage | Lost
    stamp: int
    before: Mapping[str, Heard]

    def is_ready(self, cameras: RecordedCameras) -> bool:
        """Whether its calibration is known."""
        if isinstance(self.item, Lost) or not self.stamp:
            return True
        return cameras.with_stamp(self.item.frame_id or "", self.stamp) is not None

    def finished(self, cameras: RecordedCameras) -> SourceImage | Lost:
        """The image with its calibration, or the loss."""
        image = self.item
        if isinstance(image, Lost):
            return image
        frame_id = image.frame_id or ""
        info = cameras.with_stamp(frame_id, self.stamp)
        camera, problem = cameras.of(frame_id, info, self.before, (image.width, image.height))
        return replace(image, camera=camera, camera_problem=problem)


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
            raise ImportError(
                f"reading a recording needs more libraries ({error}): pip install 'silk_ros[recordings]', "
                "or pip install rosbags mcap zstandard pyyaml"
            ) from error
        self._recording = Recording(path)
        topics = ImageTopics(self._recording)
        self.topic = topics.choose(topic)
        chosen = f"the images are those of {self.topic}, as topic says" if topic else topics.about(self.topic)
        about = [self._recording.about, chosen]
        self.about = "; ".join(text for text in about if text)
        # image_transport publishes /camera/image_raw/compressed beside /camera/camera_info.
        self._info_topic = self.topic.removesuffix("/compressed").rsplit("/", 1)[0] + "/camera_info"
        self._rectified = is_rectified(rectified, self.topic)
        first = list(self._first_images())
        self._frame_ids = [(frame_id, received) for _, received, frame_id in first]
        self._clock = RecordedClock([(stamp, received) for stamp, received, _ in first])
        self.rate = self._clock.rate
        self._log_calibration(rectified)

    def _log_calibration(self, rectified: str) -> None:
        recorded = self._recording.topics
        if self._info_topic in recorded:
            said, doubt = rectified_notes(rectified, [self.topic])
            log.info("%s", said)
            if doubt:
                log.warning("%s", doubt)
            return
        others = [topic for topic, channels in sorted(recorded.items()) if any(c.type == INFO for c in channels)]
        there = f"there is {', '.join(others)}" if others else "no camera_info was recorded"
        log.info("the images of %s have no calibration, which is sought on %s: %s", self.topic, self._info_topic, there)

    def _first_images(self) -> Iterator[tuple[int, int, str]]:
        """Stamp, time of reception and frame_id of the first images that have a valid stamp."""
        for item in islice(self._recording.read([self.topic]), FIRST):
            if not isinstance(item.message, Lost):
                with suppress(ValueError):
                    yield header_stamp(item.message), item.time, item.message.header.frame_id

    def _read(self) -> Iterator[SourceImage | Lost]:
        infos = (item for item in self._recording.read([self._info_topic]) if item.type == INFO)
        first_infos = [(item.message, item.time) for item in islice(infos, FIRST) if not isinstance(item.message, Lost)]
        cameras = RecordedCameras(self._info_topic, self._rectified, first_infos, self._frame_ids)
        waiting: deque[_Waiting] = deque()
        for item in self._recording.read([self.topic, self._info_topic]):
            if item.type == INFO:
                self._add_info(cameras, item)
            else:
                waiting.append(self._waiting(item, cameras))
            while waiting and (len(waiting) > WAIT or waiting[0].is_ready(cameras)):
                yield waiting.popleft().finished(cameras)
        for image in waiting:
            yield image.finished(cameras)

    def _add_info(self, cameras: RecordedCameras, item: Recorded) -> None:
        if isinstance(item.message, Lost):
            self._say(item.message.reason, f"'{self.name}', {item.place}: left out: {item.message.reason}")
        elif problem := cameras.add(item.message, item.time):
            self._say(f"first {problem}", f"'{self.name}', {item.place}: the first usable one replaces it: {problem}")

    def _waiting(self, item: Recorded, cameras: RecordedCameras) -> _Waiting:
        if isinstance(item.message, Lost):
            return _Waiting(item.message, 0, {})
        try:
            image = image_from_message(item.message, item.type)
        except ValueError as error:
            on_clock = self._clock.of(stamp_or_zero(item.message), item.time)
            return _Waiting(Lost(item.place, str(error), on_clock or None), 0, {})
        stamp = image.stamp or 0
        cameras.see(image.frame_id or "", item.time)
        on_clock = self._clock.of(stamp, item.time)
        if self._clock.is_reception:
            text = "images have zero stamps: the times when they were recorded replace those of all"
            self._say("stamps", f"'{self.name}': {text}")
        elif on_clock != stamp:
            text = "its stamp is zero: the time when it was recorded replaces it, less the usual delay"
            self._say("stamp", f"'{self.name}', {item.place}: {text}")
        return _Waiting(replace(image, stamp=on_clock), stamp, cameras.newest)
