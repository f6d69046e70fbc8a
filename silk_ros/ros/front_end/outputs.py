"""What the front-end node publishes for each image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud, PointCloud2
from std_msgs.msg import Header

from ...draw import draw_matches
from ...frontend import Frame, Step
from ...stereo import StereoMatches
from ...types import Features
from ..messages import features_to_cloud, image_message, matches_to_cloud, stereo_matches_to_cloud
from .configuration import Plan
from .tracks import Observations, TrackMessages


class StereoPair(NamedTuple):
    """What a pair adds to a frame of its left camera. rays: (N, 3) of the right features, None where unknown."""

    right: Features
    matches: StereoMatches
    rays: NDArray[np.float32] | None


class Outputs:
    """The publishers of the node: features, matches and stereo matches always, the others while someone subscribes."""

    def __init__(self, node: Node, plan: Plan) -> None:
        self._node = node
        self._features = node.create_publisher(PointCloud2, "~/features", 5)
        self._matches = node.create_publisher(PointCloud2, "~/matches", 5)
        self._stereo_matches = node.create_publisher(PointCloud2, "~/stereo_matches", 5)
        self._tracks = node.create_publisher(PointCloud, "~/tracks", 5)
        self._overlay = node.create_publisher(Image, "~/image_overlay", 2)
        self._track_messages = TrackMessages(plan.settings.tracks)

    def publish(
        self, header: Header, step: Step, rays: NDArray[np.float32] | None, plan: Plan, pair: StereoPair | None = None
    ) -> None:
        """Everything that downstream software waits for. rays (N, 3) of the keypoints, None where unknown."""
        settings, frame = plan.settings, step.frame
        encoded = plan.encode(frame.features.descriptors)
        self._features.publish(features_to_cloud(header, frame, rays, encoded))
        self._matches.publish(matches_to_cloud(header, step, settings.front_end.verification.flags))
        if pair is not None:
            self._stereo_matches.publish(stereo_matches_to_cloud(header, frame, pair.right, pair.matches))
        if rays is not None and self._tracks.get_subscription_count():
            self._track_messages.rules = settings.tracks
            self._tracks.publish(self._track_messages.message(header, frame, rays, _seen_right(frame, pair)))

    def publish_overlay(self, header: Header, step: Step) -> None:
        """The picture for people, if one looks."""
        if not self._overlay.get_subscription_count():
            return
        previous = step.previous.features if step.previous else None
        caption = f"{len(step.frame.features)} keypoints, {len(step.matches)} matches"
        overlay = draw_matches(step.frame.image, step.frame.features, previous, step.matches, caption)
        self._overlay.publish(image_message(header, overlay, overlay.shape[0], "bgr8", width=overlay.shape[1]))

    def close(self) -> None:
        for publisher in (self._features, self._matches, self._stereo_matches, self._tracks, self._overlay):
            self._node.destroy_publisher(publisher)


def _seen_right(frame: Frame, pair: StereoPair | None) -> Observations | None:
    """What the right camera sees of a frame's tracks."""
    if pair is None or pair.rays is None:
        return None
    rows, right_rows = pair.matches.indices.T
    return Observations(frame.tracks.ids[rows], pair.right.keypoints[right_rows], pair.rays[right_rows])
