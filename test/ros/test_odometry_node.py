"""The odometry node over DDS: clouds in, odometry, path, diagnostics and a file out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray
from harness import DEADLINE, closed_at_the_end
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField
from std_msgs.msg import Header

from silk_ros.geometry.camera import Camera
from silk_ros.geometry.trajectory import read_tum
from silk_ros.ros.camera_messages import camera_info_message
from silk_ros.ros.messages import MATCH_DTYPE, STEREO_MATCH_DTYPE, cloud_from_points, points_from_cloud
from silk_ros.ros.odometry_node import OdometryCount, OdometryNode
from silk_ros.ros.poses import transform_from_pose

CAMERA = Camera(4000, 3000, np.array([[400.0, 0, 1999.5], [0, 400, 1499.5], [0, 0, 1]]), np.zeros(5))
STEP = 0.1  # metres a frame along the optical axis, at ten frames a second


def world() -> np.ndarray:
    """Points (N, 3) in the axes of the first camera, by their track ids."""
    return np.random.default_rng(0).uniform([-3, -2, 4], [3, 2, 9], (400, 3))


def clouds(count: int) -> Iterator[tuple[PointCloud2, PointCloud2]]:
    """Matches and stereo matches of a camera that goes straight ahead, and every point in every frame."""
    points = world()
    ids = np.arange(len(points))
    previous, before = 0, np.empty((0, 2))
    for number in range(count):
        moved = points - [0, 0, STEP * number]
        projected = moved @ CAMERA.matrix.T
        pixels = projected[:, :2] / projected[:, 2:]
        stamp = 10**9 + number * 10**8
        header = Header(frame_id="left_camera")
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
        matches = np.zeros(len(before), MATCH_DTYPE)
        if number:
            matches["u"], matches["v"] = pixels.T
            matches["u_prev"], matches["v_prev"] = before.T
            matches["index"] = matches["index_prev"] = matches["track_id"] = ids
            matches["prev_sec"], matches["prev_nanosec"] = divmod(previous, 10**9)
        stereo = np.zeros(len(points), STEREO_MATCH_DTYPE)
        stereo["u"], stereo["v"], stereo["track_id"], stereo["disparity_sigma"] = *pixels.T, ids, 0.1
        stereo["z"], stereo["disparity"], stereo["index"] = moved[:, 2], 80 / moved[:, 2], ids
        yield cloud_from_points(header, matches), cloud_from_points(header, stereo)
        previous, before = stamp, pixels


class Graph:
    """An OdometryNode, and a peer that feeds it and listens."""

    def __init__(self, context: Context, **parameters: object) -> None:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = OdometryNode(context=context, parameter_overrides=overrides)
        self.peer = rclpy.create_node("peer", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.odometry: list[Odometry] = []
        self.paths: list[PathMessage] = []
        self.level, self.summary, self.diagnostics = DiagnosticStatus.OK, "", dict[str, str]()
        self.matches = self.peer.create_publisher(PointCloud2, "silk/matches", 50)
        self.stereo = self.peer.create_publisher(PointCloud2, "silk/stereo_matches", 50)
        self.infos = self.peer.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
        self.peer.create_subscription(Odometry, "/odometry/odometry", self.odometry.append, 50)
        self.heard: list[PointCloud2] = []  # what was sent, so that no more is sent than what subscriptions hold
        self.peer.create_subscription(PointCloud2, "silk/matches", self.heard.append, 50)
        self.peer.create_subscription(PathMessage, "/odometry/path", self.paths.append, 50)
        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.spin_until(
            lambda: (
                self.matches.get_subscription_count() == 2
                and self.stereo.get_subscription_count()
                and self.node.count_subscribers("/odometry/odometry")
                and self.node.count_subscribers("/odometry/path")
            )
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        [status] = message.status
        assert status.name == "odometry"
        self.level, self.summary = status.level, status.message
        self.diagnostics = {value.key: value.value for value in status.values}

    def spin_until(self, condition: Callable[[], object], repeat: Callable[[], object] | None = None) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"not within {DEADLINE} s; {self.summary}; {self.diagnostics}"
            if repeat is not None:
                repeat()
            self.executor.spin_once(timeout_sec=0.02)

    def calibrate(self) -> None:
        """Send intrinsics until the node has them."""
        header = Header(frame_id="left_camera")
        self.spin_until(
            lambda: self.diagnostics and "camera_info" not in self.summary,
            lambda: self.infos.publish(camera_info_message(header, CAMERA)),
        )

    def send(self, count: int, stereo: bool) -> None:
        """Publish frames one by one, each as soon as the last is answered, if it is."""
        for matches, stereo_matches in clouds(count):
            before, heard = len(self.odometry), len(self.heard)
            self.matches.publish(matches)
            if stereo:
                self.stereo.publish(stereo_matches)
                self.spin_until(lambda before=before: len(self.odometry) > before)
            else:
                self.spin_until(lambda heard=heard: len(self.heard) > heard)

    def close(self) -> None:
        self.node.stop()
        self.executor.shutdown()
        self.node.destroy_node()
        self.peer.destroy_node()


@pytest.fixture
def make_graph(context: Context) -> Iterator[Callable[..., Graph]]:
    with closed_at_the_end(partial(Graph, context)) as make:
        yield make


def test_stereo_odometry_is_in_metres_and_ros_axes(make_graph: Callable[..., Graph], tmp_path: Path) -> None:
    trajectory = tmp_path / "trajectory.txt"
    graph = make_graph(mode="stereo", trajectory_file=str(trajectory))
    graph.calibrate()
    graph.send(12, stereo=True)
    assert len(graph.odometry) == 12
    last = graph.odometry[-1]
    assert (last.header.frame_id, last.child_frame_id) == ("odom", "left_camera")
    assert (last.header.stamp.sec, last.header.stamp.nanosec) == (2, 100_000_000)
    pose = transform_from_pose(last.pose.pose)
    np.testing.assert_allclose(pose[:3, 3], [11 * STEP, 0, 0], atol=1e-3)  # x is forward
    np.testing.assert_allclose(pose[:3, :3], [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-3)  # of an optical frame
    velocity = last.twist.twist.linear
    np.testing.assert_allclose([velocity.x, velocity.y, velocity.z], [0, 0, 10 * STEP], atol=0.01)  # in that frame
    assert last.twist.covariance[0] == -1  # unknown
    covariance = last.pose.covariance.reshape(6, 6)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
    assert 0 < np.sqrt(np.diag(covariance)).max() < 0.05  # metres and radians
    assert np.linalg.eigvalsh(covariance).min() > 0
    graph.spin_until(lambda: graph.paths and graph.diagnostics.get("frames") == "12")
    assert graph.paths[-1].header.frame_id == "odom" and len(graph.paths[-1].poses) > 5
    assert graph.diagnostics["mode"] == "stereo" and graph.diagnostics["failures"] == "0"
    assert int(graph.diagnostics["inliers"]) == int(graph.diagnostics["points"]) > 50
    stamps, poses = read_tum(trajectory)  # complete while the node runs
    np.testing.assert_allclose(stamps, 1 + 0.1 * np.arange(12))
    np.testing.assert_allclose(poses[-1], pose, atol=1e-6)
    graph.node.stop()
    assert graph.node.summary.startswith(f"12 images, 12 poses, a path of {11 * STEP:.2f} m; ")
    assert graph.node.summary.endswith(f"the poses are in '{trajectory}'")


def test_landmarks_and_keyframes_are_published_in_the_odometry_frame(make_graph: Callable[..., Graph]) -> None:
    landmarks: list[PointCloud2] = []
    keyframes: list[PoseArray] = []
    graph = make_graph(mode="stereo", odom_frame="map")
    graph.peer.create_subscription(PointCloud2, "/odometry/landmarks", landmarks.append, 10)
    graph.peer.create_subscription(PoseArray, "/odometry/keyframes", keyframes.append, 10)
    graph.spin_until(lambda: all(map(graph.node.count_subscribers, ("/odometry/landmarks", "/odometry/keyframes"))))
    graph.calibrate()
    graph.send(12, stereo=True)
    graph.spin_until(lambda: len(landmarks) > 1 and len(landmarks) == len(keyframes))
    points, poses = points_from_cloud(landmarks[-1]), keyframes[-1].poses
    assert landmarks[-1].header.frame_id == keyframes[-1].header.frame_id == "map"
    assert landmarks[-1].header.stamp == keyframes[-1].header.stamp
    true = world()[points["track_id"]][:, [2, 0, 1]] * [1, -1, -1]  # x forward, y left, z up
    np.testing.assert_allclose(np.stack([points[name] for name in "xyz"], axis=1), true, atol=0.02)
    number = round((keyframes[-1].header.stamp.sec - 1 + keyframes[-1].header.stamp.nanosec / 1e9) * 10)
    np.testing.assert_allclose(transform_from_pose(poses[-1])[:3, 3], [number * STEP, 0, 0], atol=1e-3)
    assert len(poses) == len(keyframes)  # the window is not full yet


def test_odometry_without_gtsam_is_refused_with_the_remedy(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("gtsam", "silk_ros.odometry"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gtsam", None)
    with pytest.raises(ImportError, match=r"pip install 'silk_ros\[odometry\]'.* Python 3\.11 or newer"):
        OdometryNode(context=context)


def test_mono_odometry_goes_the_same_way(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(odom_frame="map")
    graph.calibrate()
    graph.send(30, stereo=False)
    graph.spin_until(lambda: len(graph.odometry) == 30)
    end = transform_from_pose(graph.odometry[-1].pose.pose)[:3, 3]
    assert end[0] > 0.05 and np.abs(end[1:]).max() < 0.05 * end[0]
    assert graph.odometry[0].header.frame_id == "map"
    graph.spin_until(lambda: graph.diagnostics.get("mode") == "mono")
    graph.spin_until(lambda: graph.level == DiagnosticStatus.STALE and "/silk/matches" in graph.summary)


def test_every_counter_is_published_and_clouds_before_camera_info_are_counted(
    make_graph: Callable[..., Graph],
) -> None:
    graph = make_graph()
    graph.send(3, stereo=False)
    graph.spin_until(lambda: graph.diagnostics.get("frames_without_camera_info") == "3")
    assert {count.value for count in OdometryCount} <= graph.diagnostics.keys()
    assert graph.diagnostics["frames"] == "0" and not graph.odometry


def test_every_cloud_is_answered_on_processed_with_or_without_a_pose(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(mode="stereo")
    processed: list[Header] = []
    graph.peer.create_subscription(Header, "/odometry/processed", processed.append, 50)
    graph.spin_until(lambda: graph.node.count_subscribers("/odometry/processed"))
    [(matches, stereo)] = clouds(1)
    for cloud in (matches, PointCloud2(header=matches.header)):  # without camera_info, and without any field
        before = len(processed)
        graph.spin_until(
            lambda before=before: len(processed) > before, lambda cloud=cloud: graph.matches.publish(cloud)
        )
        assert processed[-1] == cloud.header and not graph.odometry
    graph.calibrate()
    graph.spin_until(lambda: graph.odometry, lambda: (graph.matches.publish(matches), graph.stereo.publish(stereo)))
    before = len(processed)
    graph.spin_until(lambda: len(processed) > before, lambda: graph.stereo.publish(stereo))
    assert {(header.stamp.sec, header.frame_id) for header in processed} == {(1, "left_camera")}


def test_bad_input_is_counted_and_survived(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(mode="stereo")
    graph.spin_until(lambda: graph.diagnostics)
    assert "camera_info" in graph.summary
    graph.infos.publish(CameraInfo(width=640, height=480))
    graph.spin_until(lambda: int(graph.diagnostics["rejected_camera_info"]) >= 1)
    graph.calibrate()
    float_field = PointField(name="x", offset=0, datatype=PointField.FLOAT32, count=1)
    for bad in (
        PointCloud2(width=7, height=1, point_step=4, fields=[float_field]),
        PointCloud2(width=1, height=1, point_step=4, fields=[float_field], data=bytes(4)),
        PointCloud2(is_bigendian=True),
        PointCloud2(width=1, height=1, point_step=2, fields=[float_field], data=bytes(2)),
        PointCloud2(width=1, height=1, point_step=4, fields=[PointField(name="x", datatype=99)], data=bytes(4)),
    ):
        bad.header.frame_id = "left_camera"
        graph.matches.publish(bad)
    graph.spin_until(lambda: int(graph.diagnostics["rejected_clouds"]) + int(graph.diagnostics["failures"]) == 5)
    graph.send(4, stereo=True)
    assert len(graph.odometry) == 4


def renamed(cloud: PointCloud2, frame_id: str) -> PointCloud2:
    cloud.header.frame_id = frame_id
    return cloud


def test_one_camera_of_two_is_followed_until_it_stops(
    make_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("silk_ros.ros.odometry_node.SILENCE", 1.0)
    graph = make_graph(mode="stereo")
    graph.calibrate()
    graph.send(4, stereo=True)
    others = [cloud for pair in clouds(3) for cloud in pair]

    def send_others() -> None:
        """Another camera, whose stamps are those of the first one."""
        for cloud, publisher in zip(others, [graph.matches, graph.stereo] * 3):
            publisher.publish(renamed(cloud, "right_camera"))

    send_others()
    graph.spin_until(lambda: "several cameras" in graph.summary)
    assert graph.level == DiagnosticStatus.WARN
    assert "'left_camera' is followed, 'right_camera' left out" in graph.summary
    assert int(graph.diagnostics["clouds_of_other_cameras"]) >= 1
    assert {message.child_frame_id for message in graph.odometry} == {"left_camera"}
    graph.spin_until(lambda: int(graph.diagnostics["frames_without_camera_info"]), send_others)
    assert "is of 'left_camera', but the images are of 'right_camera'" in graph.diagnostics["last_error"]
    graph.infos.publish(camera_info_message(Header(frame_id="right_camera"), CAMERA))
    graph.spin_until(lambda: graph.odometry[-1].child_frame_id == "right_camera", send_others)
    graph.spin_until(lambda: "several cameras" not in graph.summary)


@pytest.mark.parametrize("size", [(320, 240), (4000, 1000)])
def test_matches_outside_of_camera_infos_images_are_not_used_and_said(
    make_graph: Callable[..., Graph], size: tuple[int, int]
) -> None:
    graph = make_graph(mode="stereo")
    small = camera_info_message(Header(frame_id="left_camera"), CAMERA)
    small.width, small.height = size

    graph.spin_until(lambda: graph.node._calibration.received, lambda: graph.infos.publish(small))

    def publish() -> None:
        for cloud, publisher in zip(list(clouds(2))[1], (graph.matches, graph.stereo)):
            publisher.publish(cloud)

    graph.spin_until(lambda: int(graph.diagnostics.get("frames_of_another_size", "0")), publish)
    graph.spin_until(lambda: graph.level == DiagnosticStatus.WARN)
    assert f"of images of {size[0]}x{size[1]} pixels, but there are matches up to" in graph.summary
    assert graph.diagnostics["last_error"] == graph.summary and not graph.odometry


def test_unusable_camera_info_is_the_state_of_the_node(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph()
    graph.spin_until(lambda: "no camera_info on /camera_info yet" in graph.summary)
    unknown = camera_info_message(Header(), CAMERA)
    unknown.distortion_model = "omnidirectional"
    graph.spin_until(lambda: "omnidirectional" in graph.summary, lambda: graph.infos.publish(unknown))
    assert graph.level == DiagnosticStatus.WARN and graph.diagnostics["rejected_camera_info"] == "1"


def test_transforms_are_published_where_tf2_is(
    make_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is no wheel of tf2_msgs: a message with the same one field stands in for it.
    sent: list[Any] = []

    class Publisher:
        def publish(self, message: Any) -> None:
            sent.append(message)

    class TFMessage:
        def __init__(self, transforms: list[Any]) -> None:
            self.transforms = transforms

    module = ModuleType("tf2_msgs.msg")
    module.TFMessage = TFMessage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tf2_msgs", ModuleType("tf2_msgs"))
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", module)
    create = OdometryNode.create_publisher
    monkeypatch.setattr(
        OdometryNode,
        "create_publisher",
        lambda self, kind, topic, *rest, **named: (
            Publisher() if kind is TFMessage else create(self, kind, topic, *rest, **named)
        ),
    )
    graph = make_graph(mode="stereo", publish_tf=True)
    graph.calibrate()
    graph.send(3, stereo=True)
    [transform] = sent[-1].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("odom", "left_camera")
    assert transform.transform.translation.x == pytest.approx(2 * STEP, abs=1e-3)
    assert transform.header.stamp == graph.odometry[-1].header.stamp


def test_transforms_without_tf2_are_refused_with_the_remedy(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    with pytest.raises(ImportError, match="apt install ros-jazzy-tf2-msgs"):
        OdometryNode(context=context, parameter_overrides=[Parameter("publish_tf", value=True)])


def test_a_file_that_cannot_be_written_is_said_at_the_start(context: Context, tmp_path: Path) -> None:
    missing = Parameter("trajectory_file", value=str(tmp_path / "no" / "where.txt"))
    with pytest.raises(FileNotFoundError, match=r"where\.txt"):
        OdometryNode(context=context, parameter_overrides=[missing])
