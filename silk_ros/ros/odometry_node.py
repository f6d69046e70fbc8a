"""The camera's motion from what the front-end publishes, as a downstream program would use it: matches, track ids and
stereo points. Metric with stereo points; without, up to a scale that is kept.

The executor's thread pairs messages up; one worker thread estimates and publishes.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
import traceback
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.clock import Clock, ClockType
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header

from ..geometry.camera import Camera, camera_from_message
from ..odometry.tracking import MODES, Tracking
from ..odometry.types import Estimate
from .messages import points_from_cloud, stamp_nanoseconds
from .node.declarations import Declaration, declare
from .node.logs import ChangeLog
from .node.process import WorkerNode, run_node
from .odometry_messages import TransformPublisher, TumFile, odometry_message, pose_stamped

TOPICS = {"matches": "silk/matches", "stereo": "silk/stereo_matches"}
QUEUE = 10  # clouds that a subscription holds
MOST_WAITING = 100  # clouds for the worker: the start of mono takes as long as some frames
LONGEST_PATH = 5000  # poses
PATH_PERIOD = 5 * 10**8  # nanoseconds between two messages on ~/path, at least: they are long
SILENCE = 5.0  # seconds without matches after which diagnostics say so
STOP_TIMEOUT = 10.0  # seconds
DECLARATIONS = (
    Declaration(
        "mode",
        MODES[0],
        "stereo needs ~/stereo_matches, mono is up to scale; auto: mono until the first stereo matches come",
        choices=MODES,
    ),
    Declaration("odom_frame", "odom", "fixed frame: x forward, y left, z up at the first pose of the camera"),
    Declaration("publish_tf", False, "also publish the pose as a transform from odom_frame to the camera's frame"),
    Declaration("trajectory_file", "", "file for the poses, in the format of TUM; empty: none"),
    Declaration("disparity_offset", 0.0, "pixels to add to disparities of a badly rectified pair", (-20.0, 20.0)),
)


class OdometryNode(WorkerNode):
    """Subscribes to `silk/matches`, `silk/stereo_matches` and `camera_info`; publishes `~/odometry` and `~/path`.

    Raises rclpy's parameter exceptions, OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("odometry", **node_options)
        values = declare(self, DECLARATIONS)
        self._odom_frame = values["odom_frame"]
        self._tracking = Tracking(values["mode"], values["disparity_offset"])
        self._problems = ChangeLog(self.get_logger().warning)
        self._transforms = TransformPublisher(self) if values["publish_tf"] else None
        trajectory = values["trajectory_file"]
        self._file = TumFile(Path(trajectory).expanduser()) if trajectory else None
        self._counts: Counter[str] = Counter()
        self._last: Estimate | None = None
        self._last_error = ""
        self._camera: Camera | None = None
        self._heard = dict.fromkeys(TOPICS, time.monotonic())  # when the last cloud came on each
        self._path = PathMessage(header=Header(frame_id=self._odom_frame))
        self._odometry_publisher = self.create_publisher(Odometry, "~/odometry", 10)
        self._path_publisher = self.create_publisher(PathMessage, "~/path", 2)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        self._queue: queue.Queue[tuple[str, PointCloud2] | None] = queue.Queue(MOST_WAITING)
        for kind, topic in TOPICS.items():
            self.create_subscription(PointCloud2, topic, partial(self._put, kind), QUEUE)
        self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data)
        self.create_timer(1.0, self._publish_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._worker = threading.Thread(target=self._work, name="odometry-worker", daemon=True)
        self._worker.start()

    # Callbacks, in the executor's thread.

    def _put(self, kind: str, cloud: PointCloud2) -> None:
        self._heard[kind] = time.monotonic()
        try:
            self._queue.put_nowait((kind, cloud))
        except queue.Full:
            self._counts["dropped_clouds"] += 1

    def _on_camera_info(self, message: CameraInfo) -> None:
        try:
            self._camera = camera_from_message(message)
        except ValueError as error:
            self._reject("camera_info", str(error))

    def _reject(self, kind: str, reason: str) -> None:
        self._counts[f"rejected_{kind}"] += 1
        self._last_error = reason
        self._problems.report(kind, f"{kind} rejected: {reason}")

    def _silent_topics(self) -> str:
        """What is needed and does not come, or nothing."""
        needed = TOPICS if self._tracking.mode == "stereo" else ("matches",)
        silent = [TOPICS[kind] for kind in needed if time.monotonic() - self._heard[kind] > SILENCE]
        return " and ".join(map(self.resolve_topic_name, silent))

    def _publish_diagnostics(self) -> None:
        level, summary = DiagnosticStatus.OK, "running"
        if self._camera is None:
            level, summary = DiagnosticStatus.WARN, "waiting for camera_info: remap it to your camera's"
        elif silent := self._silent_topics():
            level, summary = DiagnosticStatus.STALE, f"nothing on {silent} for more than {SILENCE:g} s"
        elif not self._tracking.started:
            summary = "waiting for the camera to move"
        elif self._last is not None and self._last.problem:
            level, summary = DiagnosticStatus.WARN, self._last.problem
        values = {
            "mode": self._tracking.mode,
            "frames": str(self._counts["frames"]),
            "failures": str(self._counts["failures"]),
            "points": str(self._last.points if self._last else 0),
            "inliers": str(self._last.inliers if self._last else 0),
            **{name: str(self._counts[name]) for name in ("rejected_clouds", "rejected_camera_info", "late_clouds")},
            "dropped_clouds": str(self._counts["dropped_clouds"]),
            "last_error": self._last_error,
        }
        status = DiagnosticStatus(
            level=level,
            name=self.get_fully_qualified_name().lstrip("/"),
            message=summary,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        header = Header(stamp=self.get_clock().now().to_msg())
        self._diagnostics_publisher.publish(DiagnosticArray(header=header, status=[status]))

    # The worker's thread.

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._process(*item)
            except ValueError as error:
                self._reject("clouds", str(error))
            except Exception as error:
                if not self.context.ok():  # publishing fails once the context is shut down
                    return
                self._counts["failures"] += 1
                self._last_error = f"{type(error).__name__}: {error}"
                self._problems.report("failure", f"frame failed: {traceback.format_exc()}")

    def _process(self, kind: str, cloud: PointCloud2) -> None:
        camera = self._camera
        if camera is None:
            self._counts["frames_without_camera_info"] += 1
            self._problems.report("camera", "no camera_info yet: remap it to the camera's, calibrated, of the images")
            return
        stamp = stamp_nanoseconds(cloud.header.stamp)
        for estimate in self._tracking.process(kind, stamp, points_from_cloud(cloud), camera):
            self._publish(estimate, cloud.header.frame_id)
        for restart in self._tracking.news():
            self._problems.report("restart", restart)
        self._counts["late_clouds"] = self._tracking.late

    def _publish(self, estimate: Estimate, camera_frame: str) -> None:
        self._counts["frames"] += 1
        self._last = estimate
        if estimate.problem:
            self._counts["failures"] += 1
            self._problems.report("motion", f"motion is guessed: {estimate.problem}")
        message = odometry_message(estimate, self._odom_frame, camera_frame)
        self._odometry_publisher.publish(message)
        self._path.poses.append(pose_stamped(message))
        del self._path.poses[:-LONGEST_PATH]
        due = abs(estimate.stamp - stamp_nanoseconds(self._path.header.stamp)) >= PATH_PERIOD
        if due and self._path_publisher.get_subscription_count():
            self._path.header.stamp = message.header.stamp
            self._path_publisher.publish(self._path)
        if self._transforms is not None:
            self._transforms.publish(message)
        if self._file is not None:
            try:
                self._file.write(estimate)
            except OSError as error:
                self._file = None
                self.get_logger().error(
                    f"the trajectory file is not complete ({error.strerror}): make room on the disk"
                )

    def stop(self) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=STOP_TIMEOUT)
        self._worker.join(timeout=STOP_TIMEOUT)
        if self._file is not None:
            self._file.close()


def main(args: list[str] | None = None) -> int:
    return run_node("odometry_node", OdometryNode, args)


if __name__ == "__main__":
    sys.exit(main())
