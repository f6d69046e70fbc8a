"""The subscriptions of the front-end node while it is active."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ...cameras import CAMERAS, StreamWatch, quoted
from ...parameters.settings import InputSettings
from ..messages import stamp_nanoseconds
from ..node.calibration import Calibration, StereoCalibration
from ..node.logs import ChangeLog
from ..node.rectified import images_are_rectified
from .images import mask_from_message
from .no_data import Silence, full_name
from .statistics import FrontEndCount, Statistics
from .stereo_sync import PairSync
from .worker import ImageMessage, Worker

MessageInfo: TypeAlias = Mapping[str, int | None]  # what rclpy tells of a message

IMAGE_TYPES = {"raw": ("image_raw", Image), "compressed": ("image_raw/compressed", CompressedImage)}


class Inputs:
    """The subscriptions of one camera or of a stereo pair, whose messages go to a worker until they are closed."""

    def __init__(
        self, node: Node, settings: InputSettings, worker: Worker, statistics: Statistics, problems: ChangeLog
    ) -> None:
        self._node, self._worker, self._statistics, self._problems = node, worker, statistics, problems
        # A group of their own: images are taken in while a parameter waits for its network to load.
        self._group = MutuallyExclusiveCallbackGroup()
        interval = settings.max_interval
        self._sync: PairSync[ImageMessage] | None = None if interval is None else PairSync(interval)
        sides = ("left/", "right/") if self._sync is not None else ("",)
        self._watches = {side: StreamWatch() for side in sides}
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[settings.image_reliability.upper()])
        name, kind = IMAGE_TYPES[settings.image_transport]
        # Of messages that wait together, the executor takes those of the first subscription first: the calibration is
        # then known when the first image is processed.
        self._others = []
        calibrations = []
        for side in sides:
            info, images = f"{side}camera_info", node.resolve_topic_name(side + name)
            rectified = images_are_rectified(node, settings.rectified, images)
            calibrations.append(Calibration(node.resolve_topic_name(info), rectified, self._watches[side]))
            take = partial(self._on_camera_info, calibrations[-1])
            self._others.append(self._subscribe(CameraInfo, info, take))
        self._images = [self._subscribe(kind, side + name, partial(self._on_image, side), qos) for side in sides]
        self._silences = [Silence(node, images, watch) for images, watch in zip(self._images, self._watches.values())]
        self._flowing = time.monotonic()  # since when images come on all topics
        self._others.append(self._subscribe(Image, "mask", self._on_mask))
        worker.listen_to(StereoCalibration(calibrations[0], calibrations[-1]))

    def _subscribe(
        self, kind: type, name: str, take: Callable[..., None], qos: QoSProfile = qos_profile_sensor_data
    ) -> Subscription:
        overriding = QoSOverridingOptions.with_default_policies()
        return self._node.create_subscription(
            kind, name, take, qos, callback_group=self._group, qos_overriding_options=overriding
        )

    @contextmanager
    def _rejecting(self, what: str, count: FrontEndCount) -> Iterator[None]:
        """Count and explain messages that cannot be used."""
        try:
            yield
        except ValueError as error:
            if count is FrontEndCount.REJECTED_IMAGES:
                self._statistics.received(None)
            self._statistics.error(count, str(error))
            self._problems.report(what, f"{what} rejected: {error}")

    def _on_image(self, side: str, message: ImageMessage, info: MessageInfo) -> None:
        header, now = message.header, time.monotonic()
        stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
        number = info.get("publication_sequence_number")
        if self._watches[side].take(now, header.frame_id, stamp, number):
            self._statistics.count(FrontEndCount.CAMERA_CHANGES)
        with self._rejecting("images", FrontEndCount.REJECTED_IMAGES):
            if self._sync is None:
                self._worker.put(message)
                return
            put = self._sync.put_left if side == "left/" else self._sync.put_right
            before = self._sync.left.unpaired + self._sync.right.unpaired
            pair = put(stamp_nanoseconds(message.header.stamp), message)
            unpaired = self._sync.left.unpaired + self._sync.right.unpaired - before
            self._statistics.count(FrontEndCount.UNPAIRED_IMAGES, unpaired)
            if pair is not None:
                self._worker.put(*pair)

    def _on_camera_info(self, calibration: Calibration, message: CameraInfo) -> None:
        if not calibration.update(message):
            self._statistics.error(FrontEndCount.REJECTED_CAMERA_INFO, calibration.problem)

    def _on_mask(self, message: Image) -> None:
        with self._rejecting("masks", FrontEndCount.REJECTED_MASKS):
            self._worker.mask = mask_from_message(message)

    def check_for_data(self, timeout: float) -> None:
        """Warn after `timeout` seconds of silence, naming the publishers and their QoS."""
        if not self._worker.enabled:
            return
        reasons = {silence.topic: silence.problem(timeout) for silence in self._silences}
        now = time.monotonic()
        if any(silence.lasts(timeout) for silence in self._silences):
            self._flowing = now
        unpaired = min(now - self._flowing, self._statistics.seconds_since_image()) >= timeout
        if unpaired and self._sync is not None:
            left, right = (images.topic_name for images in self._images)
            reasons["pairs"] = (
                f"images come on {left} and {right}, but for {timeout:g} s none with matching stamps: trigger the "
                "cameras together, or set stereo.sync to approximate and stereo.max_interval to how far they differ"
            )
        for what, reason in reasons.items():
            if reason:
                self._problems.report(f"no data: {what}", reason)

    def check_streams(self) -> None:
        """Note which cameras send images, and warn once where a topic has those of several."""
        now = time.monotonic()
        streams = list(zip(self._images, self._watches.values()))
        problem = "; ".join(filter(None, (stream_problem(self._node, images, watch, now) for images, watch in streams)))
        if problem and problem != self._statistics.stream_problem:
            self._problems.report("stream", problem)
        self._statistics.stream_problem = problem
        self._statistics.cameras = "; ".join(quoted(watch.frame_ids(now)) for _, watch in streams)

    def close(self) -> None:
        self._statistics.stream_problem = ""
        for subscription in (*self._images, *self._others):
            self._node.destroy_subscription(subscription)


def stream_problem(node: Node, images: Subscription, watch: StreamWatch, now: float) -> str:
    """Why the images of a topic are not those of one camera; empty where they are. now: in seconds of the watch."""
    topic, remedy = images.topic_name, "remap each camera to a node of its own"
    if watch.has_several_cameras(now):
        cameras = watch.frame_ids(now)
        tracks = f"the first {CAMERAS} get tracks of their own, the others no matches"
        if len(cameras) <= CAMERAS:
            tracks = "each gets tracks of its own"
        return f"{topic} has images of several cameras, {quoted(cameras)}: {tracks}; {remedy}"
    if watch.counts:
        fix = "set one frame_id in the driver"
        return f"each image on {topic} has another frame_id, so they are taken as those of one camera: {fix}"
    if not watch.goes_back(now):
        return ""
    publishers = sorted(map(full_name, node.get_publishers_info_by_topic(topic)))
    if len(publishers) > 1:
        return f"{topic} has images of several publishers with one frame_id, {', '.join(publishers)}: {remedy}"
    return (
        f"images on {topic} are out of order again and again, and each older stamp starts new tracks: they are of "
        f"several cameras ({remedy}), of a recording that is played in a loop, or of a driver with wrong stamps"
    )
