"""The parameter that says whether images are rectified already."""

from __future__ import annotations

from rclpy.node import Node

from ...geometry.camera import RECTIFIED, is_rectified
from .declarations import Declaration

AUTO = RECTIFIED[0]
RECTIFIED_DECLARATION = Declaration("rectified", AUTO, choices=RECTIFIED).described(
    "Whether the images are rectified already, so that P of camera_info holds for them and not K and D; auto: by the "
    "name of their topic, image_rect* or rect/image."
)


def images_are_rectified(node: Node, choice: str, *topics: str) -> bool:
    """Whether the images of a camera are rectified, with a line in the log that says so and why.

    choice: the value of the parameter. topics: resolved names, of which the images have one.
    """
    rectified = any(is_rectified(choice, topic) for topic in topics)
    names = " or ".join(topics)
    what = "rectified: P of camera_info holds" if rectified else "not rectified: K and D of camera_info hold"
    why = "by the topic's name" if choice == AUTO else f"since the parameter rectified is {choice}"
    node.get_logger().info(f"images on {names} are taken as {what}, {why}")
    if not rectified and any(is_rectified(AUTO, topic) for topic in topics):
        node.get_logger().warning(f"{names} is a name of rectified images: set rectified to auto or true if they are")
    return rectified
