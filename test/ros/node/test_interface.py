"""The help text of each node against the node itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from harness import ROOT, Graph
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from silk_ros.parameters.help import parameter_table
from silk_ros.ros import image_player, odometry_node, silk_node, view_node
from silk_ros.ros.image_player import ImagePlayer
from silk_ros.ros.node.interface import Interface
from silk_ros.ros.odometry_node import OdometryNode

MODULES = (silk_node, odometry_node, image_player, view_node)
INTERFACES = {module.INTERFACE.name: module.INTERFACE for module in MODULES}
OF_RCLPY = {"/rosout", "/parameter_events", "/clock", "~/transition_event"}
TYPES_OF_RCLPY = ("rcl_interfaces", "lifecycle_msgs", "type_description_interfaces")  # of the services of all nodes


def names(node: Node, endpoints: list) -> set[str]:
    """The topics of endpoints as the help text has them."""
    own = node.get_fully_qualified_name()
    topics = {endpoint.topic_name.replace(f"{own}/", "~/") for endpoint in endpoints} - OF_RCLPY
    for side in ("/left/", "/right/"):
        topics = {topic.replace(side, "/") for topic in topics}
    absolute = {"/diagnostics", "/tf"}
    return {topic if topic in absolute else topic.removeprefix("/").removesuffix("/compressed") for topic in topics}


def services(node: Node) -> set[str]:
    """The services of a node as the help text has them, without those that rclpy makes for every node."""
    own = node.get_fully_qualified_name()
    offered = [each for each in node.services if each.srv_type.__module__.partition(".")[0] not in TYPES_OF_RCLPY]
    return {each.service_name.replace(f"{own}/", "~/") for each in offered}


def assert_listed(interface: Interface, *nodes: Node) -> None:
    """Every topic and service of the nodes is in the help text, and no other."""
    assert set().union(*map(services, nodes)) == set(interface.services) - {"~/change_state"}
    subscribed = [names(node, list(node.subscriptions)) for node in nodes]
    published = [names(node, list(node.publishers)) for node in nodes]
    assert set().union(*subscribed) == set(interface.subscribed)
    assert set().union(*published) == set(interface.published)


@pytest.mark.parametrize("sync", ["none", "exact"])
def test_the_front_end_has_the_topics_of_its_help(make_graph: Callable[..., Graph], sync: str) -> None:
    assert_listed(silk_node.INTERFACE, make_graph(**{"stereo.sync": sync}).node)


def test_the_odometry_has_the_topics_of_its_help(context: Context) -> None:
    node = OdometryNode(context=context)
    interface = odometry_node.INTERFACE
    without_tf = {name: meaning for name, meaning in interface.published.items() if name != "/tf"}  # with publish_tf
    assert_listed(replace(interface, published=without_tf), node)
    node.stop()
    node.destroy_node()


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_the_view_has_the_topics_of_its_help(context: Context, tmp_path: Path, transport: str) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install 'silk_ros[view]'")
    values = {"viewer": "file", "file": str(tmp_path / "view.rrd"), "image_transport": transport}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = view_node.ViewNode(context=context, parameter_overrides=overrides)
    assert_listed(view_node.INTERFACE, node)
    node.stop()
    node.destroy_node()


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_the_player_has_the_topics_of_its_help(context: Context, image_folder: Path, transport: str) -> None:
    values = {"source": str(image_folder), "transport": transport, "step": True}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = ImagePlayer(context=context, parameter_overrides=overrides)
    assert_listed(image_player.INTERFACE, node)
    node.stop()
    node.destroy_node()


@pytest.mark.parametrize("name", INTERFACES)
def test_the_help_has_all_that_is_declared(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    interface = INTERFACES[name]
    with pytest.raises(SystemExit, match="0"):
        interface.check_arguments(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for declaration in interface.declarations:
        limits = f" ({declaration.limits})" if declaration.limits else ""
        meaning = f"{limits} {declaration.description} {declaration.change.capitalize()}."
        assert f" {declaration.name}=" in told and meaning in told, declaration.name
    for topic in (*interface.subscribed, *interface.published, *interface.services):
        assert f" {topic}: " in told


def test_an_empty_list_is_shown_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        silk_node.INTERFACE.check_arguments(["--ros-args", "-p", "scale:=1.0", "--help"])
    assert " model_dirs=[]\n" in capsys.readouterr().out


def test_the_parameters_of_the_player_are_in_the_documents() -> None:
    table = parameter_table(image_player.DECLARATIONS)
    document = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    assert table in document, f"replace the table of the player in docs/sources.md by:\n{table}"
