"""The publishers of the front-end node."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud, PointCloud2
from std_msgs.msg import Header

from ...draw import draw_matches
from ...parameters.configuration import Configuration
from ...step import Step
from ...words import counted
from ..messages import image_message
from .step_messages import FEATURES, MATCHES, RIGHT_FEATURES, STEREO_MATCHES, TRACKS, StepMessages

TYPES = {
    FEATURES: PointCloud2,
    MATCHES: PointCloud2,
    STEREO_MATCHES: PointCloud2,
    RIGHT_FEATURES: PointCloud2,
    TRACKS: PointCloud,
}
ON_DEMAND = (RIGHT_FEATURES, TRACKS)


class Outputs:
    """The publishers of the node. Right features, tracks and the overlay are made only while someone subscribes."""

    def __init__(self, node: Node, configuration: Configuration) -> None:
        self._node = node
        self._publishers = {name: node.create_publisher(kind, f"~/{name}", 5) for name, kind in TYPES.items()}
        self._overlay = node.create_publisher(Image, "~/image_overlay", 2)
        self._messages = StepMessages(configuration.settings.tracks)

    def publish(self, headers: tuple[Header, ...], step: Step, configuration: Configuration) -> None:
        """Publish everything that downstream software waits for.

        headers: of the image, or of both images of a pair.
        """
        for name, message in self._messages.of(headers, step, configuration).items():
            if name not in ON_DEMAND or self._publishers[name].get_subscription_count():
                self._publishers[name].publish(message())

    def publish_overlay(self, header: Header, step: Step) -> None:
        """Publish the overlay, if someone subscribes to it."""
        if not self._overlay.get_subscription_count():
            return
        features, previous = step.frame.features, step.previous.features if step.previous else None
        caption = f"{counted(len(features), 'keypoint')}, {counted(len(step.matches), 'match', 'matches')}"
        overlay = draw_matches(step.frame.image, features, previous, step.matches, caption)
        self._overlay.publish(image_message(header, overlay, overlay.shape[0], "bgr8", width=overlay.shape[1]))

    def close(self) -> None:
        for publisher in (*self._publishers.values(), self._overlay):
            self._node.destroy_publisher(publisher)
