"""The publishers of the front-end node."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud, PointCloud2
from std_msgs.msg import Header

from ...cameras import PerCamera
from ...draw import draw_matches
from ...parameters.configuration import Configuration
from ...step import Frame, Step
from ...stereo import StereoPair
from ..messages import (
    features_to_cloud,
    image_message,
    matches_to_cloud,
    right_features_to_cloud,
    stereo_matches_to_cloud,
)
from .tracks import Observations, TrackMessages


class Outputs:
    """The publishers of the node. Right features, tracks and the overlay are made only while someone subscribes."""

    def __init__(self, node: Node, configuration: Configuration) -> None:
        self._node = node
        self._features = node.create_publisher(PointCloud2, "~/features", 5)
        self._matches = node.create_publisher(PointCloud2, "~/matches", 5)
        self._stereo_matches = node.create_publisher(PointCloud2, "~/stereo_matches", 5)
        self._right_features = node.create_publisher(PointCloud2, "~/right/features", 5)
        self._tracks = node.create_publisher(PointCloud, "~/tracks", 5)
        self._overlay = node.create_publisher(Image, "~/image_overlay", 2)
        self._track_messages = PerCamera(lambda: TrackMessages(configuration.settings.tracks))

    def publish(self, headers: tuple[Header, ...], step: Step, configuration: Configuration) -> None:
        """Publish everything that downstream software waits for.

        headers: of the image, or of both images of a pair.
        """
        header, frame_ids = headers[0], tuple(each.frame_id for each in headers)
        settings, frame, pair = configuration.settings, step.frame, step.stereo
        encoded = configuration.encode(frame.features.descriptors)
        self._features.publish(features_to_cloud(header, frame, encoded))
        self._matches.publish(matches_to_cloud(header, step, settings.front_end.verification.flags))
        if pair is not None:
            self._stereo_matches.publish(stereo_matches_to_cloud(header, frame, pair))
            if self._right_features.get_subscription_count():
                encoded = configuration.encode(pair.right.descriptors)
                self._right_features.publish(right_features_to_cloud(headers[1], frame, pair, encoded))
        if frame.rays is not None and self._tracks.get_subscription_count():
            tracks = self._track_messages.of(*frame_ids) or TrackMessages(settings.tracks)
            tracks.rules = settings.tracks
            self._tracks.publish(tracks.message(header, frame, frame.rays, _seen_right(frame, pair)))

    def publish_overlay(self, header: Header, step: Step) -> None:
        """Publish the overlay, if someone subscribes to it."""
        if not self._overlay.get_subscription_count():
            return
        features, previous = step.frame.features, step.previous.features if step.previous else None
        caption = f"{len(features)} keypoints, {len(step.matches)} matches"
        overlay = draw_matches(step.frame.image, features, previous, step.matches, caption)
        self._overlay.publish(image_message(header, overlay, overlay.shape[0], "bgr8", width=overlay.shape[1]))

    def close(self) -> None:
        clouds = (self._features, self._matches, self._stereo_matches, self._right_features)
        for publisher in (*clouds, self._tracks, self._overlay):
            self._node.destroy_publisher(publisher)


def _seen_right(frame: Frame, pair: StereoPair | None) -> Observations | None:
    """Where the right camera sees the tracks of a frame; None without a calibrated pair."""
    if pair is None or pair.rays is None:
        return None
    rows, right_rows = pair.matches.indices.T
    return Observations(frame.tracks.ids[rows], pair.right.keypoints[right_rows], pair.rays[right_rows])
