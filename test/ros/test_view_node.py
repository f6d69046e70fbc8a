"""The view over DDS: what is published is in the recording; a page is served on loopback; bad input is survived."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Pose, PoseArray, PoseStamped
from harness import DEADLINE, camera_info, closed_at_the_end, image_message, picture
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from silk_ros.ros.messages import MATCH_DTYPE, cloud_from_points
from silk_ros.ros.poses import pose_message
from silk_ros.ros.view_node import ViewCount, ViewNode

rr = pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install 'silk_ros[view]'")

KEYPOINTS = np.dtype([("u", "<f4"), ("v", "<f4")])
LANDMARKS = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("track_id", "<u4")])
FRAMES = 12
TOPICS = {
    "image_raw": Image,
    "camera_info": CameraInfo,
    "ground_truth": PoseStamped,
    "silk/features": PointCloud2,
    "silk/matches": PointCloud2,
    "odometry/odometry": Odometry,
    "odometry/landmarks": PointCloud2,
    "odometry/keyframes": PoseArray,
    "/diagnostics": DiagnosticArray,
}
OPTICAL_TO_BODY = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def messages(number: int) -> dict[str, Any]:
    """What is published for a frame of a camera that goes straight ahead, with true poses of twice the scale."""
    image = image_message(picture(shift=number % 50), stamp=1 + 0.1 * number)
    header = Header(stamp=image.header.stamp, frame_id="odom")
    keypoints, matches, landmarks = np.zeros(40, KEYPOINTS), np.zeros(30, MATCH_DTYPE), np.zeros(20, LANDMARKS)
    matches["u"], matches["u_prev"], matches["track_id"] = np.arange(30) + 1, np.arange(30), np.arange(30)
    landmarks["x"], landmarks["track_id"] = np.arange(20) + 5, np.arange(20) + number
    pose, true = OPTICAL_TO_BODY.copy(), np.eye(4)
    pose[0, 3], true[2, 3] = 0.1 * number, 0.2 * number
    odometry = Odometry(header=header)
    odometry.pose.pose = pose_message(pose)
    values = [KeyValue(key="inliers", value="17"), KeyValue(key="mode", value="mono")]
    status = DiagnosticStatus(name="odometry", message="running", level=DiagnosticStatus.OK, values=values)
    return {
        "camera_info": camera_info(),
        "ground_truth": PoseStamped(header=header, pose=pose_message(true)),
        "image_raw": image,
        "silk/features": cloud_from_points(image.header, keypoints),
        "silk/matches": cloud_from_points(image.header, matches),
        "odometry/odometry": odometry,
        "odometry/landmarks": cloud_from_points(header, landmarks),
        "odometry/keyframes": PoseArray(header=header, poses=[odometry.pose.pose]),
        "/diagnostics": DiagnosticArray(status=[status, DiagnosticStatus(name="another", level=b"\x02")]),
    }


class ViewGraph:
    """A ViewNode, and a peer that publishes all that it shows."""

    def __init__(self, context: Context, **parameters: object) -> None:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = ViewNode(context=context, parameter_overrides=overrides)
        self.peer = rclpy.create_node("peer", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        sensors = ("image_raw", "camera_info")
        self.publishers = {
            topic: self.peer.create_publisher(kind, topic, qos_profile_sensor_data if topic in sensors else 50)
            for topic, kind in TOPICS.items()
        }
        self.level, self.summary, self.diagnostics = DiagnosticStatus.OK, "", dict[str, str]()
        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        self.spin_until(lambda: all(each.get_subscription_count() for each in self.publishers.values()))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "view":
                self.level, self.summary = status.level, status.message
                self.diagnostics = {value.key: value.value for value in status.values}

    def spin_until(self, condition: Callable[[], object], repeat: Callable[[], object] = lambda: None) -> None:
        end, due = time.monotonic() + DEADLINE, 0.0
        while not condition():
            now = time.monotonic()
            assert now < end, f"not within {DEADLINE} s; {self.summary}; {self.diagnostics}"
            if now >= due:
                repeat()
                due = now + 0.1
            self.executor.spin_once(timeout_sec=0.02)

    def count(self, counter: ViewCount) -> int:
        return int(self.node._counters.values()[counter.value])

    def deliver(self, topic: str, message: Any, arrival: int = 0) -> None:
        """Hand a message to the node's own callback, as if it had arrived at a time in nanoseconds."""
        full = topic if topic[0] == "/" else f"/{topic}"
        (subscription,) = (each for each in self.node.subscriptions if each.topic_name == full)
        subscription.callback(message, {"received_timestamp": arrival})

    def close(self) -> None:
        self.node.stop()
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()


@pytest.fixture
def make_view(context: Context) -> Iterator[Callable[..., ViewGraph]]:
    with closed_at_the_end(partial(ViewGraph, context)) as make:
        yield make


def chunks(path: Path) -> list[Any]:
    """The data of a recording, read back by Rerun."""
    reader = pytest.importorskip("rerun.chunk", reason="this rerun-sdk does not read recordings")
    return list(reader.RrdReader(str(path)).stream())


def entity_rows(path: Path) -> Counter[str]:
    rows: Counter[str] = Counter()
    for chunk in chunks(path):
        rows[chunk.entity_path] += chunk.num_rows
    return rows


def values(path: Path, entity: str, component: str) -> list[Any]:
    """The values of a component of an entity, one for each time that it was logged, the oldest first."""
    found = []
    for chunk in chunks(path):
        if chunk.entity_path == entity:
            batch = chunk.to_record_batch()
            column = next(name for name in batch.schema.names if name.endswith(component))
            stamps = batch.column("stamp").to_pylist() if "stamp" in batch.schema.names else [0] * batch.num_rows
            found += zip(stamps, batch.column(column).to_pylist())
    return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def test_everything_that_is_published_is_in_the_recording(make_view: Callable[..., ViewGraph], tmp_path: Path) -> None:
    file = tmp_path / "view.rrd"
    graph = make_view(viewer="file", file=str(file))
    for number in range(FRAMES):
        for topic, message in messages(number).items():
            graph.deliver(topic, message, arrival=10**9 * number + (25_000_000 if topic == "silk/matches" else 0))
    graph.node.stop()
    assert graph.count(ViewCount.FRAMES) == FRAMES and graph.count(ViewCount.REJECTED_MESSAGES) == 0
    rows = entity_rows(file)
    each_frame = {"image/keypoints", "image/tracks/lines", "image/tracks/ends"}
    expected = {f"/world/camera/{name}" for name in each_frame} | {"/world/camera", "/world/landmarks"}
    expected |= {f"/curves/{name}" for name in ("latency", "keypoints", "matches", "landmarks")}
    expected |= {"/world/keyframes", "/diagnostics/odometry/inliers"}
    assert {entity: rows[entity] for entity in expected} == dict.fromkeys(expected, FRAMES)
    assert rows["/world/camera/image"] == FRAMES + 1  # and the frustum, once
    assert rows["/world/path/odometry"] == rows["/world/path/true"] == FRAMES - 1  # from the second pose on
    assert rows["/states/odometry"] == 1 and not any("another" in entity for entity in rows)
    assert values(file, "/curves/latency", "scalars") == [[pytest.approx(25.0)]] * FRAMES
    assert values(file, "/curves/matches", "scalars") == [[30.0]] * FRAMES
    [estimate], [true] = (values(file, f"/world/path/{name}", "strips")[-1] for name in ("odometry", "true"))
    np.testing.assert_allclose(estimate, [[0.1 * number, 0, 0] for number in range(FRAMES)], atol=1e-6)
    np.testing.assert_allclose(true, estimate, atol=1e-6)  # the scale of mono is that of the odometry
    assert len(values(file, "/world/camera/image/tracks/lines", "strips")[-1]) == 8 * 30  # of the last frames


def test_topics_arrive_over_dds(make_view: Callable[..., ViewGraph], tmp_path: Path) -> None:
    file = tmp_path / "view.rrd"
    graph = make_view(viewer="file", file=str(file))
    numbers = iter(range(10_000))

    def publish() -> None:
        for topic, message in messages(next(numbers)).items():
            graph.publishers[topic].publish(message)

    graph.spin_until(lambda: int(graph.diagnostics.get("frames", "0")) >= 3, publish)
    assert graph.diagnostics["rejected_messages"] == "0" and graph.level == DiagnosticStatus.OK
    graph.node.stop()
    rows = entity_rows(file)
    wanted = {"/world/camera/image", "/world/camera/image/tracks/ends", "/world/landmarks", "/world/path/true"}
    wanted |= {"/curves/latency", "/world/keyframes", "/diagnostics/odometry/inliers", "/world/path/odometry"}
    assert wanted <= rows.keys()
    assert all(latency >= 0 for [latency] in values(file, "/curves/latency", "scalars"))


def broken(topic: str) -> list[Any]:
    """Messages on a topic that cannot be shown."""
    bad = messages(0)[topic]
    if topic == "image_raw":
        return [Image(), image_message(picture(), encoding="none"), image_message(picture(), data=b"")]
    if topic == "camera_info":
        return [CameraInfo()]
    if TOPICS[topic] is PointCloud2:
        cut = PointCloud2(header=bad.header, width=9, height=9, point_step=16, fields=bad.fields)
        late = cloud_from_points(Header(), np.zeros(1, np.dtype([*KEYPOINTS.descr, *LANDMARKS.descr])))
        late.header.stamp.nanosec = 2 * 10**9
        return [cut, late, cloud_from_points(bad.header, np.zeros(3, np.dtype([("other", "<f4")])))]
    unknown = Pose()
    unknown.orientation.w = 0.0
    nan = Pose()
    nan.position.x = float("nan")
    if topic == "ground_truth":
        return [PoseStamped(pose=pose) for pose in (unknown, nan)]
    odometry = [Odometry(), Odometry()]
    odometry[0].pose.pose, odometry[1].pose.pose = unknown, nan
    return odometry


@pytest.mark.parametrize("topic", sorted(TOPICS.keys() - {"/diagnostics", "odometry/keyframes"}))
def test_bad_messages_are_counted_and_survived(make_view: Callable[..., ViewGraph], tmp_path: Path, topic: str) -> None:
    graph = make_view(viewer="file", file=str(tmp_path / "view.rrd"))
    bad = broken(topic)
    for message in bad:
        graph.deliver(topic, message)
    assert graph.count(ViewCount.REJECTED_MESSAGES) == len(bad)
    graph.spin_until(lambda: f"a message on /{topic} is not shown" in graph.summary)
    assert graph.level == DiagnosticStatus.WARN and {each.value for each in ViewCount} <= graph.diagnostics.keys()
    for each, message in messages(1).items():
        graph.deliver(each, message)
    assert graph.count(ViewCount.FRAMES) == 1 and graph.count(ViewCount.REJECTED_MESSAGES) == len(bad)


def test_an_image_of_another_size_than_camera_info_is_shown_without_a_frustum(
    make_view: Callable[..., ViewGraph], tmp_path: Path
) -> None:
    file = tmp_path / "view.rrd"
    graph = make_view(viewer="file", file=str(file))
    graph.deliver("camera_info", camera_info(320, 240))
    graph.deliver("image_raw", image_message(picture()))
    graph.spin_until(lambda: "the camera is not shown in 3-D: camera_info is for 320x240" in graph.summary)
    graph.node.stop()
    assert entity_rows(file)["/world/camera/image"] == 1 and graph.count(ViewCount.REJECTED_MESSAGES) == 0


def test_a_page_is_served_on_loopback_and_ends_with_the_node(
    make_view: Callable[..., ViewGraph], unused_port: int
) -> None:
    graph = make_view(viewer="web", port=unused_port)
    place = graph.node._viewer.place
    address = place.split()[-1]
    assert address.startswith("http://127.0.0.1:") and "url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A" in address
    with urllib.request.urlopen(address, timeout=DEADLINE) as page:
        assert page.status == 200 and b"rerun" in page.read().lower()
    port = int(address.split("/?")[0].rpartition(":")[2])
    listening = [line.split()[1] for table in ("tcp", "tcp6") for line in listeners(table)]
    assert {where for where in listening if where.endswith((f":{port:04X}", f":{port - 1:04X}"))} == {
        f"0100007F:{port:04X}",
        f"0100007F:{port - 1:04X}",
    }
    graph.node._viewer._program.kill()
    graph.spin_until(lambda: "the viewer has ended" in graph.summary)
    for topic, message in messages(0).items():
        graph.deliver(topic, message)
    assert graph.count(ViewCount.REJECTED_MESSAGES) == 0


def listeners(table: str) -> list[str]:
    """The rows of the kernel's table of sockets that listen."""
    path = Path(f"/proc/net/{table}")
    return [line for line in path.read_text().splitlines()[1:] if line.split()[3] == "0A"] if path.exists() else []


@pytest.fixture
def unused_port(domain_id: int) -> int:
    """Where a test worker begins to look for ports."""
    return 20_000 + 100 * domain_id


def test_a_file_that_cannot_be_written_is_named(spawn: Callable[..., Any]) -> None:
    process = spawn("view_node", "--ros-args", "-p", "viewer:=file", "-p", "file:=/no/such/folder/view.rrd")
    _, errors = process.communicate(timeout=4 * DEADLINE)
    assert process.returncode == 1 and "cannot start" in errors and "/no/such/folder/view.rrd" in errors
