"""The subscriptions of the front-end node while it is active."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..messages import stamp_nanoseconds
from ..node.logs import ChangeLog
from .calibration import Calibration, StereoCalibration
from .images import mask_from_message
from .settings import InputSettings
from .statistics import FrontEndCount, Statistics
from .stereo_sync import PairSync
from .worker import ImageMessage, Moment, Worker

IMAGE_TYPES = {"raw": ("image_raw", Image), "compressed": ("image_raw/compressed", CompressedImage)}


class Inputs:
    """The subscriptions of one camera or of a stereo pair, whose messages go to a worker until they are closed."""

    def __init__(
        self, node: Node, settings: InputSettings, worker: Worker, statistics: Statistics, problems: ChangeLog
    ) -> None:
        self._node, self._worker = node, worker
        self._statistics, self._problems = statistics, problems
        # A group of their own: images are taken in while a parameter waits for its network to load.
        self._group = MutuallyExclusiveCallbackGroup()
        self._sync: PairSync[ImageMessage] | None = None
        self._heard: dict[str, float] = {}  # when each side's last image came
        sides: dict[str, Callable[[Any], None]] = {"": self._on_image}
        if settings.max_interval is not None:
            self._sync = PairSync(settings.max_interval)
            sides = {"left/": partial(self._on_side, "left"), "right/": partial(self._on_side, "right")}
        calibrations = [Calibration(node.resolve_topic_name(f"{side}camera_info")) for side in sides]
        worker.listen_to(StereoCalibration(calibrations[0], calibrations[-1]))

        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[settings.image_reliability.upper()])
        name, kind = IMAGE_TYPES[settings.image_transport]
        self._images = [self._subscribe(kind, side + name, take, qos) for side, take in sides.items()]
        self._others = [
            self._subscribe(
                CameraInfo, f"{side}camera_info", partial(self._on_camera_info, calibration), qos_profile_sensor_data
            )
            for side, calibration in zip(sides, calibrations)
        ]
        self._others.append(self._subscribe(Image, "mask", self._on_mask, qos_profile_sensor_data))

    def _subscribe(self, kind: type, name: str, take: Callable[[Any], None], qos: QoSProfile) -> Subscription:
        return self._node.create_subscription(
            kind,
            name,
            take,
            qos,
            callback_group=self._group,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
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

    def _on_image(self, message: ImageMessage) -> None:
        with self._rejecting("images", FrontEndCount.REJECTED_IMAGES):
            self._worker.put(Moment(message))

    def _on_side(self, side: str, message: ImageMessage) -> None:
        assert self._sync is not None
        put = self._sync.put_left if side == "left" else self._sync.put_right
        before = self._sync.unpaired_left + self._sync.unpaired_right
        self._heard[side] = time.monotonic()
        with self._rejecting("images", FrontEndCount.REJECTED_IMAGES):
            pair = put(stamp_nanoseconds(message.header.stamp), message)
            if pair is not None:
                self._worker.put(Moment(*pair))
        unpaired = self._sync.unpaired_left + self._sync.unpaired_right - before
        self._statistics.count(FrontEndCount.UNPAIRED_IMAGES, unpaired)

    def _on_camera_info(self, calibration: Calibration, message: CameraInfo) -> None:
        if not calibration.update(message):
            self._statistics.error(FrontEndCount.REJECTED_CAMERA_INFO, calibration.problem)

    def _on_mask(self, message: Image) -> None:
        with self._rejecting("masks", FrontEndCount.REJECTED_MASKS):
            self._worker.mask = mask_from_message(message)

    def check_for_data(self, timeout: float) -> None:
        """Warn after `timeout` seconds of silence, naming the publishers and their QoS."""
        if not self._worker.enabled or self._statistics.seconds_since_image() < timeout:
            return
        sides = ("left", "right") if self._sync is not None else ("",)
        silent = [time.monotonic() - self._heard.get(side, -np.inf) >= timeout for side in sides]
        if not any(silent):
            left, right = (subscription.topic_name for subscription in self._images)
            reason = (
                f"images come on {left} and {right}, but for {timeout:g} s none with matching stamps: trigger the "
                "cameras together, or set stereo.sync to approximate and stereo.max_interval to how far they differ"
            )
        else:
            quiet = [images for images, is_silent in zip(self._images, silent) if is_silent]
            reason = "; ".join(no_data_warning(self._node, images, timeout) for images in quiet)
        self._problems.report("no_data", reason)

    def close(self) -> None:
        for subscription in (*self._images, *self._others):
            self._node.destroy_subscription(subscription)


def no_data_warning(node: Node, subscription: Subscription, timeout: float) -> str:
    """Why a subscription may hear nothing: its topic, who publishes it, and the QoS of both sides."""
    topic, own = subscription.topic_name, subscription.qos_profile.reliability.name
    publishers = [
        f"{info.node_namespace.rstrip('/')}/{info.node_name} ({info.topic_type}, {info.qos_profile.reliability.name})"
        for info in node.get_publishers_info_by_topic(topic)
    ]
    if not publishers:
        return f"no data on {topic} for {timeout:g} s and nobody publishes it: remap it to your camera's topic"
    deaf = own == "RELIABLE" and any("BEST_EFFORT" in publisher for publisher in publishers)
    hint = (
        "a RELIABLE subscription does not hear a BEST_EFFORT publisher"
        if deaf
        else "large images need config/fastdds.xml"
    )
    return f"no data on {topic} for {timeout:g} s from {', '.join(publishers)}; this node asks for {own}: {hint}"
