"""What the node says when no images come, with a clock and a ROS graph that the tests set."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy

from silk_ros.cameras import StreamWatch
from silk_ros.ros.front_end import no_data
from silk_ros.ros.front_end.inputs import Inputs
from silk_ros.ros.front_end.no_data import IMAGE_KINDS, Silence
from silk_ros.ros.node import logs
from silk_ros.ros.node.logs import ChangeLog

TIMEOUT = 5.0
IMAGE, COMPRESSED = IMAGE_KINDS


def publisher(name: str, kind: str = IMAGE, reliability: str = "BEST_EFFORT") -> SimpleNamespace:
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability])
    return SimpleNamespace(node_name=name, node_namespace="/", topic_type=kind, qos_profile=qos)


class Graph:
    """A node that listens to /image_raw; `published` has the publishers of each topic."""

    def __init__(self) -> None:
        self.now = 100.0
        self.published: dict[str, list[SimpleNamespace]] = {}
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self.subscriptions = [SimpleNamespace(topic_name=name, qos_profile=qos) for name in ("/image_raw", "/mask")]

    def monotonic(self) -> float:
        return self.now

    def get_name(self) -> str:
        return "silk"

    def get_namespace(self) -> str:
        return "/"

    def get_publishers_info_by_topic(self, topic: str) -> list[SimpleNamespace]:
        return self.published.get(topic, [])

    def get_topic_names_and_types(self) -> list[tuple[str, list[str]]]:
        kinds = [(topic, [each.topic_type for each in publishers]) for topic, publishers in self.published.items()]
        return [*kinds, ("/listened_to_only", [IMAGE])]


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    graph = Graph()
    monkeypatch.setattr(no_data, "time", graph)
    return graph


@pytest.fixture
def watch() -> StreamWatch:
    return StreamWatch()


@pytest.fixture
def silence(graph: Graph, watch: StreamWatch) -> Silence:
    return Silence(graph, graph.subscriptions[0], watch)  # type: ignore[arg-type]


def said(graph: Graph, silence: Silence, seconds: float) -> list[tuple[float, str]]:
    """What was said at each second, seconds since the start of it."""
    began, told = graph.now, []
    for _ in range(round(seconds)):
        graph.now += 1
        if problem := silence.problem(TIMEOUT):
            told.append((graph.now - began, problem))
    return told


def test_a_topic_that_nobody_publishes_is_named_once_with_those_that_may_be_meant(
    graph: Graph, silence: Silence
) -> None:
    graph.published = {
        "/silk/image_overlay": [publisher("silk")],
        "/mask": [publisher("masker")],
        "/rosout": [publisher("camera", "rcl_interfaces/msg/Log")],
        "/depth/points": [publisher("camera", "sensor_msgs/msg/PointCloud2")],
        "/zoo": [publisher("zoo")],
        "/camera/image_raw": [publisher("camera")],
        "/camera/image_raw/compressed": [publisher("camera", COMPRESSED)],
        "/xylophone": [publisher("zoo")],
    }
    ((second, problem),) = said(graph, silence, 100)
    assert TIMEOUT <= second <= TIMEOUT + 2
    assert problem.startswith("no data on /image_raw for 5 s and nobody publishes it: remap it")
    named = f"/camera/image_raw ({IMAGE}), /camera/image_raw/compressed ({COMPRESSED}), /"
    assert f"images come on {named}" in problem
    assert not any(topic in problem for topic in ("overlay", "mask", "rosout", "points", "listened_to_only"))


def test_where_there_are_no_images_at_all_the_driver_is_asked_for(graph: Graph, silence: Silence) -> None:
    ((_, problem),) = said(graph, silence, 10)
    assert problem.endswith("nobody publishes it: start the camera's driver, or remap it to your camera's topic")


def test_the_clock_starts_when_a_publisher_appears(graph: Graph, silence: Silence) -> None:
    said(graph, silence, 20)
    graph.published["/image_raw"] = [publisher("camera")]
    told = said(graph, silence, 10)
    assert TIMEOUT <= told[0][0] <= TIMEOUT + 2
    assert "no data on /image_raw for 5 s from /camera (sensor_msgs/msg/Image, BEST_EFFORT)" in told[0][1]
    assert "this node asks for RELIABLE: a RELIABLE subscription does not hear a BEST_EFFORT publisher" in told[0][1]
    graph.published.clear()
    assert len(said(graph, silence, 20)) == 1  # nobody publishes it again


def test_a_camera_that_starts_late_and_sends_at_once_is_no_silence(
    graph: Graph, silence: Silence, watch: StreamWatch
) -> None:
    said(graph, silence, 20)
    graph.published["/image_raw"] = [publisher("camera")]
    for index in range(60):
        watch.take(graph.now, "camera", index)
        assert said(graph, silence, 1) == []


def test_images_that_wait_behind_a_late_check_are_no_silence(
    graph: Graph, silence: Silence, watch: StreamWatch
) -> None:
    """A process that got no time to run asks about the silence before it takes in what has come meanwhile."""
    graph.published["/image_raw"] = [publisher("camera")]
    for index in range(10):
        watch.take(graph.now, "camera", index)
        graph.now += 3 * TIMEOUT
        assert silence.problem(TIMEOUT) == ""
        watch.take(graph.now, "camera", index)
        graph.now += 1
        assert silence.problem(TIMEOUT) == ""


def test_two_topics_that_fall_silent_one_tick_apart_are_both_named(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is said once only, so that the log may not take the second for a repetition of the first."""
    monkeypatch.setattr(logs, "time", graph)
    lines: list[str] = []
    sides = ["/left/image_raw", "/right/image_raw"]
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    watches = [StreamWatch(), StreamWatch()]
    inputs = Inputs.__new__(Inputs)  # without its subscriptions
    inputs._worker, inputs._sync = SimpleNamespace(enabled=True), None
    inputs._statistics = SimpleNamespace(seconds_since_image=lambda: 0.0)
    inputs._problems, inputs._flowing = ChangeLog(lines.append), graph.now
    inputs._silences = [
        Silence(graph, SimpleNamespace(topic_name=side, qos_profile=qos), watch)  # type: ignore[arg-type]
        for side, watch in zip(sides, watches)
    ]
    watches[0].take(graph.now, "camera", 0)
    watches[1].take(graph.now + 0.9, "camera", 0)
    for _ in range(40):
        graph.now += 0.9
        inputs.check_for_data(TIMEOUT)
    assert [line.split()[3] for line in lines] == sides


@pytest.mark.parametrize("name", ["_NODE_NAME_UNKNOWN_", "_CREATED_BY_BARE_DDS_APP_"])
def test_names_that_dds_does_not_know_are_not_shown(graph: Graph, silence: Silence, name: str) -> None:
    graph.published["/image_raw"] = [publisher(name)]
    told = said(graph, silence, 10)
    assert "from a node without a name (sensor_msgs/msg/Image, BEST_EFFORT)" in told[0][1]
    assert "UNKNOWN" not in told[0][1] and "BARE" not in told[0][1]
