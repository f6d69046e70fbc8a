"""What the front-end node listens to while it is active."""

from __future__ import annotations

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from .change_log import ChangeLog, no_data_warning
from .diagnostics import Statistics
from .images import gray_from_message
from .pipeline import Pipeline
from .settings import Settings

IMAGE_TYPES = {"raw": ("image_raw", Image), "compressed": ("image_raw/compressed", CompressedImage)}


class Inputs:
    """The subscriptions: images, camera_info and mask, handed on to a pipeline until they are closed."""

    def __init__(
        self, node: Node, settings: Settings, pipeline: Pipeline, statistics: Statistics, problems: ChangeLog
    ) -> None:
        self._node, self._pipeline = node, pipeline
        self._statistics, self._problems = statistics, problems
        # A group of their own: images are taken in while a parameter waits for its network to load.
        self._group = MutuallyExclusiveCallbackGroup()
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[settings.input.image_reliability.upper()])
        name, kind = IMAGE_TYPES[settings.input.image_transport]
        self._images = self._subscribe(kind, name, pipeline.put, qos)
        self._others = [
            self._subscribe(CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data),
            self._subscribe(Image, "mask", self._on_mask, qos_profile_sensor_data),
        ]

    def _subscribe(self, kind, name, callback, qos) -> Subscription:  # type: ignore[no-untyped-def]
        return self._node.create_subscription(
            kind,
            name,
            callback,
            qos,
            callback_group=self._group,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _on_camera_info(self, message: CameraInfo) -> None:
        if not self._pipeline.calibration.update(message):
            self._statistics.error("rejected_camera_info", self._pipeline.calibration.problem)

    def _on_mask(self, message: Image) -> None:
        try:
            self._pipeline.mask = gray_from_message(message)
        except ValueError as error:
            self._statistics.error("rejected_masks", str(error))
            self._problems.report("mask", f"mask rejected: {error}")

    def check_for_data(self, timeout: float) -> None:
        """Warn after `timeout` seconds of silence, naming the publishers and their QoS."""
        if self._pipeline.enabled and self._statistics.seconds_since_image() >= timeout:
            self._problems.report("no_data", no_data_warning(self._node, self._images, timeout))

    def close(self) -> None:
        for subscription in (self._images, *self._others):
            self._node.destroy_subscription(subscription)
