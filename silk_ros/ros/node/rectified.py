"""Whether the images of a node are rectified already, as its parameter `rectified` says."""

from __future__ import annotations

from rclpy.node import Node

from ...geometry.camera import is_rectified, rectified_notes


def images_are_rectified(node: Node, choice: str, *topics: str) -> bool:
    """Whether the images of a camera are rectified, with a line in the log that says so and why.

    choice: the value of the parameter. topics: resolved names, of which the images have one.
    """
    said, doubt = rectified_notes(choice, topics)
    node.get_logger().info(said)
    if doubt:
        node.get_logger().warning(doubt)
    return any(is_rectified(choice, topic) for topic in topics)
