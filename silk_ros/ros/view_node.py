"""Shows what the front-end and the odometry publish in the viewer Rerun: image and tracks, landmarks, paths, curves.

It needs no ROS desktop: the view is a window, a page for a browser, or a file. Everything happens in the executor's
thread; what is faster than the view is left out by the queues of the subscriptions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray, PoseStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from ..parameters.declarations import NEVER, RECTIFIED_DECLARATION, Declaration, given_path
from ..parameters.given import declaration_of
from .front_end.images import gray_from_compressed, gray_from_message
from .front_end.inputs import IMAGE_TYPES, MessageInfo
from .front_end.worker import ImageMessage
from .messages import points_from_cloud, stamp_nanoseconds
from .node.calibration import Calibration
from .node.declarations import declare
from .node.diagnostics import Counters, diagnostics_message
from .node.interface import DIAGNOSTICS, Interface
from .node.logs import ChangeLog
from .node.process import WorkerNode, run_node
from .node.rectified import images_are_rectified
from .poses import transform_from_pose
from .view import VIEWERS

QUEUE = 10  # messages that a subscription holds
IMAGES = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
MOST_ARRIVALS = 100  # images whose arrival is remembered
NODES = ("silk", "odometry")  # whose diagnostics are shown
DECLARATIONS = (
    Declaration("viewer", VIEWERS[0], choices=VIEWERS).described(
        "spawn: a window. web: a page for a browser on this machine, whose address is logged. file: a recording. auto: "
        "a window where there is a display, else a page."
    ),
    Declaration("file", "silk.rrd").described("File of the recording, with viewer set to file."),
    Declaration("port", 9876, (1024, 65500)).described(
        "TCP port on loopback where a window or a page gets its data. The page itself is on the next one. It takes "
        "later ones where these are in use."
    ),
    replace(declaration_of("image_transport"), change=NEVER),
    RECTIFIED_DECLARATION,
)


INTERFACE = Interface(
    "view_node",
    __doc__,
    DECLARATIONS,
    subscribed={
        "image_raw": "sensor_msgs/Image of the camera, of the left one of a pair, or image_raw/compressed",
        "camera_info": "sensor_msgs/CameraInfo of the same camera",
        "silk/features": "sensor_msgs/PointCloud2, features of silk_node",
        "silk/matches": "sensor_msgs/PointCloud2, matches of silk_node",
        "odometry/odometry": "nav_msgs/Odometry of odometry_node",
        "odometry/landmarks": "sensor_msgs/PointCloud2, landmarks of odometry_node",
        "odometry/keyframes": "geometry_msgs/PoseArray, keyframes of odometry_node",
        "ground_truth": "geometry_msgs/PoseStamped, the true pose of the camera, where it is known",
        "/diagnostics": "diagnostic_msgs/DiagnosticArray, of which those of silk_node and odometry_node are shown",
    },
    published=DIAGNOSTICS,
)


class ViewCount(Enum):
    """Counters of the node, by their keys on /diagnostics."""

    FRAMES = "frames"  # images that were shown
    REJECTED_MESSAGES = "rejected_messages"


class ViewNode(WorkerNode):
    """Subscribes to images, `silk/...`, `odometry/...`, `ground_truth` and /diagnostics, and shows them.

    Raises OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("view", **node_options)
        values = declare(self, DECLARATIONS)
        try:
            from .view.scene import Scene
            from .view.viewer import Viewer
        except ImportError as error:
            fix = "pip install 'silk_ros[view]', or on a robot rerun-sdk as docs/view.md says"
            raise ImportError(f"the view needs the package rerun-sdk ({error}): {fix}") from error
        self._counters = Counters(ViewCount)
        self._problems = ChangeLog(self.get_logger().warning)
        self._problem = ""
        images, image_type = IMAGE_TYPES[values["image_transport"]]
        rectified = images_are_rectified(self, values["rectified"], self.resolve_topic_name(images))
        self._calibration = Calibration(self.resolve_topic_name("camera_info"), rectified)
        self._camera: object = None  # that is shown
        self._arrivals: dict[int, int] = {}  # of images by stamp, in nanoseconds
        file = given_path(values["file"])
        if file is None:
            raise ValueError("parameter file is empty: name the file of the recording")
        self._viewer = Viewer(values["viewer"], file, values["port"])
        self._scene = Scene(self._viewer.recording)
        self.get_logger().info(self._viewer.place)
        # Messages that wait together are taken in this order.
        self._subscribe(CameraInfo, "camera_info", self._on_camera_info, IMAGES)
        self._subscribe(PoseStamped, "ground_truth", self._on_true_pose)
        self._subscribe(image_type, images, self._on_image, IMAGES)
        self._subscribe(PointCloud2, "silk/features", self._on_features)
        self._subscribe(PointCloud2, "silk/matches", self._on_matches)
        self._subscribe(Odometry, "odometry/odometry", self._on_odometry)
        self._subscribe(PointCloud2, "odometry/landmarks", self._on_landmarks)
        self._subscribe(PoseArray, "odometry/keyframes", self._on_keyframes)
        self._subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        self.create_timer(1.0, self._publish_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def stop(self) -> None:
        self._viewer.close()

    def _subscribe(
        self, kind: type, topic: str, show: Callable[[Any, int], None], qos: QoSProfile | int = QUEUE
    ) -> None:
        self.create_subscription(kind, topic, partial(self._receive, topic, show), qos)

    def _receive(self, topic: str, show: Callable[[Any, int], None], message: Any, info: MessageInfo) -> None:
        """Show a message. One that cannot be shown is counted and logged, whatever is wrong with it."""
        try:
            show(message, info["received_timestamp"] or 0)
        except Exception as error:
            self._counters.add(ViewCount.REJECTED_MESSAGES)
            self._problem = f"a message on {self.resolve_topic_name(topic)} is not shown: {error or repr(error)}"
            self._problems.report(topic, self._problem)

    def _on_camera_info(self, message: CameraInfo, _: int) -> None:
        if not self._calibration.update(message):
            raise ValueError(self._calibration.problem)

    def _on_image(self, message: ImageMessage, arrival: int) -> None:
        stamp = stamp_nanoseconds(message.header.stamp)
        image = gray_from_message(message) if isinstance(message, Image) else gray_from_compressed(message)
        self._arrivals[stamp] = arrival
        while len(self._arrivals) > MOST_ARRIVALS:
            del self._arrivals[next(iter(self._arrivals))]
        self._scene.show_image(stamp, image)
        self._counters.add(ViewCount.FRAMES)
        try:
            camera = self._calibration.of(image.shape, message.header.frame_id)
        except ValueError as error:
            self._problem = f"the camera is not shown in 3-D: {error}"
            self._problems.report("camera", self._problem)
            return
        if camera is not self._camera:
            self._camera = camera
            self._scene.show_camera(camera)

    def _on_features(self, cloud: PointCloud2, _: int) -> None:
        points = points_from_cloud(cloud)
        self._scene.show_keypoints(stamp_nanoseconds(cloud.header.stamp), _columns(points, "u", "v"))

    def _on_matches(self, cloud: PointCloud2, arrival: int) -> None:
        stamp, points = stamp_nanoseconds(cloud.header.stamp), points_from_cloud(cloud)
        latency = (arrival - self._arrivals[stamp]) / 1e9 if stamp in self._arrivals else None
        now, before = _columns(points, "u", "v"), _columns(points, "u_prev", "v_prev")
        self._scene.show_matches(stamp, points["track_id"], now, before, latency)

    def _on_odometry(self, message: Odometry, _: int) -> None:
        self._scene.show_pose(stamp_nanoseconds(message.header.stamp), transform_from_pose(message.pose.pose))

    def _on_true_pose(self, message: PoseStamped, _: int) -> None:
        self._scene.show_true_pose(stamp_nanoseconds(message.header.stamp), transform_from_pose(message.pose))

    def _on_landmarks(self, cloud: PointCloud2, _: int) -> None:
        points = points_from_cloud(cloud)
        stamp = stamp_nanoseconds(cloud.header.stamp)
        self._scene.show_landmarks(stamp, points["track_id"], _columns(points, "x", "y", "z"))

    def _on_keyframes(self, message: PoseArray, _: int) -> None:
        positions = [(pose.position.x, pose.position.y, pose.position.z) for pose in message.poses]
        self._scene.show_keyframes(stamp_nanoseconds(message.header.stamp), np.array(positions).reshape(-1, 3))

    def _on_diagnostics(self, message: DiagnosticArray, _: int) -> None:
        own = {f"{self.get_namespace()}/{node}".lstrip("/"): node for node in NODES}
        for status in message.status:
            if status.name in own:
                values = {value.key: value.value for value in status.values}
                self._scene.show_state(own[status.name], status.level[0], status.message, values)

    def _publish_diagnostics(self) -> None:
        problem, self._problem = self._problem, ""
        if self._viewer.ended:
            problem = "the viewer has ended and nothing is shown any more: start view_node again"
            self._problems.report("viewer", problem)
        level, summary = (DiagnosticStatus.WARN, problem) if problem else (DiagnosticStatus.OK, "running")
        self._diagnostics_publisher.publish(diagnostics_message(self, level, summary, self._counters.values()))


def _columns(points: NDArray, *names: str) -> NDArray[np.float32]:
    """Fields of points (N,) as columns (N, len(names))."""
    return np.stack([points[name] for name in names], axis=1)


def main(args: list[str] | None = None) -> int:
    INTERFACE.check_arguments(args)
    return run_node("view_node", ViewNode, args)


if __name__ == "__main__":
    sys.exit(main())
