"""Why no images come on a topic: nobody publishes it, or its publishers are not heard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from difflib import SequenceMatcher

from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ...cameras import StreamWatch

IMAGE_KINDS = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
MOST_NAMED = 3  # topics that a warning names
# What rmw says instead of a name: DDS knows an endpoint before its node, or it belongs to no node of ROS.
NAMELESS = ("_NODE_NAME_UNKNOWN_", "_CREATED_BY_BARE_DDS_APP_")


class Silence:
    """Tells why no image comes on a topic. Time counts from the last image, or since a publisher appeared."""

    def __init__(self, node: Node, images: Subscription, watch: StreamWatch) -> None:
        """watch: of the images of the topic; it takes the times of `time.monotonic`."""
        self._node, self._images, self._watch = node, images, watch
        self._published = False
        self._since = time.monotonic()  # the topic has, or has not, got a publisher
        self._suspected = self._said = False

    @property
    def topic(self) -> str:
        """The resolved name of the topic."""
        return self._images.topic_name

    def lasts(self, timeout: float) -> bool:
        """Whether no image has come in the last `timeout` seconds."""
        return time.monotonic() - self._watch.last >= timeout

    def problem(self, timeout: float) -> str:
        """Why no image has come for `timeout` seconds; empty where one has. To be asked about every second.

        That nobody publishes the topic is said once, until somebody does. Only two answers in a row make a silence:
        where the process got no time to run, images may wait behind the first one.
        """
        now = time.monotonic()
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if bool(publishers) != self._published:
            self._published, self._since, self._said = bool(publishers), now, False
        suspected, self._suspected = self._suspected, now - max(self._watch.last, self._since) >= timeout
        if not (suspected and self._suspected):
            return ""
        if publishers:
            return self._unheard(publishers, timeout)
        said, self._said = self._said, True
        return "" if said else self._unpublished(timeout)

    def _unheard(self, publishers: list[TopicEndpointInfo], timeout: float) -> str:
        """That publishers are not heard: who they are, and the QoS of both sides."""
        topic, own = self.topic, self._images.qos_profile.reliability.name
        known = [f"{full_name(each)} ({each.topic_type}, {each.qos_profile.reliability.name})" for each in publishers]
        hint = "large images need config/fastdds.xml"
        if own == "RELIABLE" and any("BEST_EFFORT" in publisher for publisher in known):
            hint = "a RELIABLE subscription does not hear a BEST_EFFORT publisher"
        return f"no data on {topic} for {timeout:g} s from {', '.join(known)}; this node asks for {own}: {hint}"

    def _unpublished(self, timeout: float) -> str:
        """That nobody publishes the topic, and the topics that may be meant instead."""
        topic = self.topic
        fix = "start the camera's driver, or remap it to your camera's topic"
        if offered := sorted(self._offered(), key=lambda name: -SequenceMatcher(None, name, topic).ratio()):
            fix = f"remap it to your camera's topic; images come on {', '.join(offered[:MOST_NAMED])}"
        return f"no data on {topic} for {timeout:g} s and nobody publishes it: {fix}"

    def _offered(self) -> Iterator[str]:
        """Topics of images that other nodes publish and this one does not listen to."""
        node = self._node
        taken = {subscription.topic_name for subscription in node.subscriptions}
        own = node.get_name(), node.get_namespace()
        for topic, kinds in node.get_topic_names_and_types():
            if topic in taken or not set(kinds) & set(IMAGE_KINDS):
                continue
            publishers = node.get_publishers_info_by_topic(topic)
            if any((each.node_name, each.node_namespace) != own for each in publishers):
                yield f"{topic} ({kinds[0]})"


def full_name(publisher: TopicEndpointInfo) -> str:
    """The name of a publisher's node with its namespace, or words for one that has no name."""
    if publisher.node_name in NAMELESS:
        return "a node without a name"
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
