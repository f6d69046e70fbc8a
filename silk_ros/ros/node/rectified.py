"""The parameter that says whether images are rectified already."""

from __future__ import annotations

from rclpy.node import Node

from ...geometry.camera import RECTIFIED, is_rectified, rectified_notes
from .declarations import Declaration

RECTIFIED_DECLARATION = Declaration("rectified", RECTIFIED[0], choices=RECTIFIED).described(
    "Whether the images are rectified already, so that P of camera_info holds for them and not K and D; auto: by the "
    "name of their topic, such as image_rect or rect/image."
)


def images_are_rectified(node: Node, choice: str, *topics: str) -> bool:
    """Whether the images of a camera are rectified, with a line in the log that says so and why.

    choice: the value of the parameter. topics: resolved names, of which the images have one.
    """
    said, doubt = rectified_notes(choice, topics)
    node.get_logger().info(said)
    if doubt:
        node.get_logger().warning(doubt)
    return any(is_rectified(choice, topic) for topic in topics)
