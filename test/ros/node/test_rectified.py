"""The parameter `rectified`: texts and the booleans that ROS makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from harness import Graph, camera_info, image_message, picture
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo

from silk_ros.parameters.declarations import RECTIFIED_DECLARATION, Declaration
from silk_ros.ros.messages import points_from_cloud
from silk_ros.ros.node.declarations import declare
from silk_ros.ros.node.rectified import images_are_rectified
from silk_ros.ros.odometry_node import OdometryNode
from silk_ros.ros.silk_node import SilkNode


class Log:
    """Stands in for a node, and keeps what is logged."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []
        self.info, self.warning = self.infos.append, self.warnings.append

    def get_logger(self) -> Log:
        return self


@pytest.fixture
def make_node(context: Context) -> Iterator[Callable[..., Node]]:
    nodes: list[Node] = []

    def make(*arguments: str, **parameters: object) -> Node:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        cli = ["--ros-args", *arguments] if arguments else None
        nodes.append(rclpy.create_node("node", context=context, parameter_overrides=overrides, cli_args=cli))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize("given", ["true", "false", "auto", True, False])
def test_texts_and_booleans_are_taken(make_node: Callable[..., Node], given: object) -> None:
    assert declare(make_node(rectified=given), [RECTIFIED_DECLARATION]) == {"rectified": str(given).lower()}


@pytest.mark.parametrize("text", ["true", "True", "'true'", "yes"])
def test_what_a_command_line_says_is_taken(make_node: Callable[..., Node], text: str) -> None:
    node = make_node("-p", f"rectified:={text}")
    assert declare(node, [RECTIFIED_DECLARATION]) == {"rectified": "true"}
    descriptor = node.describe_parameter("rectified")
    assert "auto, true, false" in descriptor.additional_constraints and "image_rect" in descriptor.description


@pytest.mark.parametrize("given", ["maybe", 1, 0.5])
def test_other_values_are_refused_with_the_choices(make_node: Callable[..., Node], given: object) -> None:
    with pytest.raises(ValueError, match="choose one of auto, true, false"):
        declare(make_node(rectified=given), [RECTIFIED_DECLARATION])


def test_other_choices_take_no_booleans() -> None:
    assert Declaration("backend", "auto", choices=("auto", "onnx")).value(True) is True


@pytest.mark.parametrize(
    "topic, rectified",
    [
        ("/cam/image_rect", True),
        ("/cam/image_rect_color/compressed", True),
        ("/image_raw", False),
        ("/cam/rect/image", True),
        ("/cam/image_rotated", False),
    ],
)
def test_auto_goes_by_the_name_and_says_so(topic: str, rectified: bool) -> None:
    log = Log()
    assert images_are_rectified(log, "auto", topic) == rectified
    (line,) = log.infos
    assert topic in line and "by the topic's name" in line and ("P of camera_info" in line) == rectified
    assert not log.warnings


def test_a_choice_against_the_name_is_kept_and_doubted() -> None:
    log = Log()
    assert images_are_rectified(log, "true", "/image_raw") and not log.warnings
    assert not images_are_rectified(log, "false", "/image_rect")
    assert "set rectified to auto or true" in log.warnings[0]
    assert "since the parameter rectified is false" in log.infos[1]


def distorted_info(frame_id: str = "") -> CameraInfo:
    info = camera_info()
    info.header.frame_id = frame_id
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    info.p = [80.0, 0.0, 79.5, 0.0, 0.0, 80.0, 59.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def errors(graph: Graph) -> np.ndarray:
    """Distance of the rays of an image from those of P."""
    graph.deliver(distorted_info(), "/camera_info")
    count = len(graph.features)
    graph.deliver(image_message(picture(), stamp=1.0 + count), "/image_raw")
    graph.spin_until(lambda: len(graph.features) > count)
    points = points_from_cloud(graph.features[-1])
    return np.abs(points["x"] - (points["u"] - 79.5) / 80)


def test_rays_are_those_of_p_from_the_next_activation_on(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph()
    graph.wait_for_node()
    assert errors(graph).max() > 0.05
    (refused,) = graph.set_parameters(rectified=True)
    assert "deactivate it first" in refused
    for value in (True, "true"):
        graph.node.trigger_deactivate()
        assert graph.set_parameters(rectified="false") == [""] and graph.set_parameters(rectified=value) == [""]
        assert "'3': choose one of auto, true, false" in graph.set_parameters(rectified=3)[0]
        assert "choose one of" in graph.set_parameters(rectified="perhaps")[0]
        graph.node.trigger_activate()
        assert errors(graph).max() < 1e-5


def test_remapped_images_are_known_by_their_name(context: Context) -> None:
    silk = SilkNode(context=context, cli_args=["--ros-args", "-r", "image_raw:=/cam/image_rect"])
    silk._worker.calibration.left.update(distorted_info())
    assert silk._worker.calibration.left.camera("").matrix[0, 0] == 80
    silk.stop()
    silk.destroy_node()
    silk._state_machine.destroy_when_not_in_use()


@pytest.mark.parametrize(
    "arguments, focal_length",
    [
        ([], 100),
        (["-r", "image_raw:=/cam/image_rect_color"], 80),
        (["-r", "left/image_raw:=/cam/left/image_rect"], 80),
        (["-r", "image_raw:=/cam/image_rect", "-p", "rectified:=false"], 100),
        (["-p", "rectified:=true"], 80),
    ],
)
def test_odometry_goes_by_the_name_that_the_images_have(
    context: Context, arguments: list[str], focal_length: float
) -> None:
    node = OdometryNode(context=context, cli_args=["--ros-args", *arguments])
    node._on_camera_info(distorted_info("left"))
    assert node._calibration.camera("left").matrix[0, 0] == focal_length
    node.stop()
    node.destroy_node()
