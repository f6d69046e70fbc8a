"""What the front-end node publishes for each image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud, PointCloud2
from std_msgs.msg import Header

from ..draw import draw_matches
from ..frontend import Step
from .messages import features_to_cloud, image_message, matches_to_cloud
from .plan import Plan
from .tracks import TrackMessages


class Outputs:
    """The publishers of the node: features and matches of every image, the others while someone subscribes."""

    def __init__(self, node: Node, plan: Plan) -> None:
        self._node = node
        self._features = node.create_publisher(PointCloud2, "~/features", 5)
        self._matches = node.create_publisher(PointCloud2, "~/matches", 5)
        self._tracks = node.create_publisher(PointCloud, "~/tracks", 5)
        self._overlay = node.create_publisher(Image, "~/image_overlay", 2)
        self._track_messages = TrackMessages(plan.settings.tracks)

    def publish(self, header: Header, step: Step, rays: NDArray[np.float32] | None, plan: Plan) -> None:
        """Everything that downstream software waits for. rays (N, 3) of the keypoints, None where unknown."""
        settings = plan.settings
        encoded = plan.encode(step.frame.features.descriptors)
        self._features.publish(features_to_cloud(header, step.frame, rays, encoded))
        self._matches.publish(matches_to_cloud(header, step, settings.front_end.verification.flags))
        if rays is not None and self._tracks.get_subscription_count():
            self._track_messages.rules = settings.tracks
            self._tracks.publish(self._track_messages.message(header, step.frame, rays))

    def publish_overlay(self, header: Header, step: Step) -> None:
        """The picture for people, if one looks."""
        if not self._overlay.get_subscription_count():
            return
        previous = step.previous.features if step.previous else None
        caption = f"{len(step.frame.features)} keypoints, {len(step.matches)} matches"
        overlay = draw_matches(step.frame.image, step.frame.features, previous, step.matches, caption)
        self._overlay.publish(image_message(header, overlay, overlay.shape[0], "bgr8", width=overlay.shape[1]))

    def close(self) -> None:
        for publisher in (self._features, self._matches, self._tracks, self._overlay):
            self._node.destroy_publisher(publisher)
