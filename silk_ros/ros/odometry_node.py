"""Odometry from what the front-end publishes, as a program downstream would use it: matches, track ids, stereo points.

Motion is in metres with stereo points, and up to a scale that is kept without them. The executor's thread receives
clouds; one worker thread estimates and publishes.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
import traceback
from enum import Enum
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header

from ..cameras import StreamWatch
from ..odometry.estimate import MODES, Estimate
from ..odometry.followed import Followed
from ..odometry.image_size import OtherSize
from ..parameters.declarations import RECTIFIED_DECLARATION, Declaration, given_path
from .messages import points_from_cloud, stamp_nanoseconds
from .node.calibration import Calibration
from .node.declarations import declare
from .node.diagnostics import Counters, diagnostics_message
from .node.interface import DIAGNOSTICS, Interface
from .node.logs import ChangeLog, NodeLog
from .node.process import WorkerNode, run_node
from .node.rectified import images_are_rectified
from .odometry_outputs import OdometryOutputs, TumFile
from .odometry_summary import OdometrySummary

# In the order in which the executor takes clouds that wait together: the features of an image before its matches.
TOPICS = {"features": "silk/features", "matches": "silk/matches", "stereo": "silk/stereo_matches"}
QUEUE = 10  # clouds that a subscription holds
MOST_WAITING = 200  # clouds that wait for the worker: the start of mono takes as long as some frames
IMAGES = ("image_raw", "left/image_raw")  # of the front-end; their names tell whether they are rectified
SILENCE = 5.0  # seconds without clouds after which diagnostics are stale, and another camera is followed
STOP_TIMEOUT = 10.0  # seconds
DECLARATIONS = (
    Declaration("mode", MODES[0], choices=MODES).described(
        "mono is up to scale, stereo needs silk/stereo_matches, auto is mono until the first stereo matches arrive."
    ),
    RECTIFIED_DECLARATION,
    Declaration("odom_frame", "odom").described("Fixed frame: x forward, y left, z up at the camera's first pose."),
    Declaration("publish_tf", False).described("Also publish the pose on /tf, from odom_frame to the camera's frame."),
    Declaration("trajectory_file", "").described("File for the poses, in the TUM format; empty: none."),
    Declaration("disparity_offset", 0.0, (-20.0, 20.0)).described(
        "Pixels to add to disparities of a misrectified pair."
    ),
)

INTERFACE = Interface(
    "odometry_node",
    __doc__,
    DECLARATIONS,
    subscribed={
        "silk/features": "sensor_msgs/PointCloud2, features of silk_node, to find landmarks again after a loss",
        "silk/matches": "sensor_msgs/PointCloud2, matches of silk_node",
        "silk/stereo_matches": "sensor_msgs/PointCloud2, stereo matches of silk_node",
        "camera_info": "sensor_msgs/CameraInfo of the camera, of the left one of a pair",
    },
    published={
        "~/odometry": "nav_msgs/Odometry, the pose of the camera in odom_frame and its velocity",
        "~/path": "nav_msgs/Path, the last poses, while someone subscribes",
        "~/landmarks": "sensor_msgs/PointCloud2, x y z in odom_frame and track_id, while someone subscribes",
        "~/keyframes": "geometry_msgs/PoseArray, those of the window in odom_frame, while someone subscribes",
        "~/processed": "std_msgs/Header, that of each cloud that was handled, with or without a pose",
        "/tf": "tf2_msgs/TFMessage, the pose, with publish_tf",
        **DIAGNOSTICS,
    },
)


class OdometryCount(Enum):
    """Counters of the node, by their keys on /diagnostics."""

    FRAMES = "frames"
    FAILURES = "failures"  # frames whose motion is guessed
    REJECTED_CLOUDS = "rejected_clouds"
    REJECTED_CAMERA_INFO = "rejected_camera_info"
    LATE_CLOUDS = "late_clouds"
    DROPPED_CLOUDS = "dropped_clouds"
    FRAMES_WITHOUT_CAMERA_INFO = "frames_without_camera_info"
    FRAMES_OF_ANOTHER_SIZE = "frames_of_another_size"
    CLOUDS_OF_OTHER_CAMERAS = "clouds_of_other_cameras"


class OdometryNode(WorkerNode):
    """Subscribes to `silk/matches`, `silk/stereo_matches`, `silk/features` and `camera_info`; publishes `~/odometry`.

    Raises OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        from ..odometry.tracking import Tracking  # the only part that needs GTSAM, which --help and the demo do not

        super().__init__("odometry", **node_options)
        values = declare(self, DECLARATIONS)
        self._tracking = Tracking(values["mode"], values["disparity_offset"])
        self._outputs = OdometryOutputs(self, values["odom_frame"], values["publish_tf"])
        trajectory = given_path(values["trajectory_file"])
        self._file = TumFile(trajectory) if trajectory else None
        self._done = OdometrySummary()
        self._problems = ChangeLog(self.get_logger().warning)
        self._log = NodeLog(self.get_logger())
        self._counters = Counters(OdometryCount)
        self._last: Estimate | None = None
        self._last_error, self._last_error_time = "", -float("inf")
        rectified = images_are_rectified(self, values["rectified"], *map(self.resolve_topic_name, IMAGES))
        self._watch = StreamWatch()  # of the clouds
        self._calibration = Calibration(self.resolve_topic_name("camera_info"), rectified, self._watch)
        self._followed = Followed(SILENCE)
        self._heard = dict.fromkeys(TOPICS, time.monotonic())  # arrival of the last cloud on each topic
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        self._processed_publisher = self.create_publisher(Header, "~/processed", QUEUE)
        self._queue: queue.Queue[tuple[str, PointCloud2] | None] = queue.Queue(MOST_WAITING)
        # Of messages that wait together, the executor takes those of the first subscription first: the calibration is
        # then known when the clouds of the same image come.
        self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data)
        for kind, topic in TOPICS.items():
            self.create_subscription(PointCloud2, topic, partial(self._put, kind), QUEUE)
        self.create_timer(1.0, self._publish_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._worker = threading.Thread(target=self._work, name="odometry-worker", daemon=True)
        self._worker.start()

    def stop(self) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=STOP_TIMEOUT)
        self._worker.join(timeout=STOP_TIMEOUT)
        if self._file is not None:
            self._file.close()
        self.summary = self._done.text(self._state()[1], None if self._file is None else self._file.path)
        self._log.close()

    # Callbacks, in the executor's thread.

    def _put(self, kind: str, cloud: PointCloud2) -> None:
        self._heard[kind] = now = time.monotonic()
        header = cloud.header
        self._watch.take(now, header.frame_id, header.stamp.sec * 10**9 + header.stamp.nanosec)
        if not self._followed.take(header.frame_id, now):
            self._counters.add(OdometryCount.CLOUDS_OF_OTHER_CAMERAS)
            self._problems.report("cameras", self._followed.problem(now))
            return
        try:
            self._queue.put_nowait((kind, cloud))
        except queue.Full:
            self._counters.add(OdometryCount.DROPPED_CLOUDS)

    def _on_camera_info(self, message: CameraInfo) -> None:
        if not self._calibration.update(message):
            self._reject("camera_info", OdometryCount.REJECTED_CAMERA_INFO, self._calibration.problem)

    def _reject(self, what: str, counter: OdometryCount, reason: str) -> None:
        self._error(counter, reason)
        self._problems.report(what, f"{what} rejected: {reason}")

    def _error(self, counter: OdometryCount, reason: str) -> None:
        """Count what cannot be used; the reason is the state of the node for a while."""
        self._counters.add(counter)
        self._last_error, self._last_error_time = reason, time.monotonic()

    def _publish_diagnostics(self) -> None:
        level, summary = self._state()
        points, inliers = (self._last.points, self._last.inliers) if self._last is not None else (0, 0)
        values = {"mode": self._tracking.mode, **self._counters.values()}
        values |= {"points": str(points), "inliers": str(inliers), "last_error": self._last_error}
        self._diagnostics_publisher.publish(diagnostics_message(self, level, summary, values))

    def _state(self) -> tuple[bytes, str]:
        """Level and summary for the diagnostics."""
        now = time.monotonic()
        if self._calibration.problem:
            return DiagnosticStatus.WARN, self._calibration.problem
        needed = ("matches", "stereo") if self._tracking.mode == "stereo" else ("matches",)
        silent = [TOPICS[kind] for kind in needed if now - self._heard[kind] > SILENCE]
        if silent:
            topics = " and ".join(map(self.resolve_topic_name, silent))
            return DiagnosticStatus.STALE, f"nothing on {topics} for more than {SILENCE:g} s"
        recent = self._last_error if now - self._last_error_time < SILENCE else ""
        if problem := recent or self._followed.problem(now) or self._tracking.doubt:
            return DiagnosticStatus.WARN, problem
        if not self._tracking.started:
            return DiagnosticStatus.OK, "waiting for the camera to move"
        if self._last is not None and self._last.problem:
            return DiagnosticStatus.WARN, self._last.problem
        return DiagnosticStatus.OK, "running"

    # The worker's thread.

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._answer(*item)
            except OtherSize as error:
                self._reject("matches", OdometryCount.FRAMES_OF_ANOTHER_SIZE, str(error))
            except ValueError as error:
                self._reject("clouds", OdometryCount.REJECTED_CLOUDS, str(error))
            except Exception as error:
                if not self.context.ok():  # publishing fails once the context is shut down
                    return
                self._error(OdometryCount.FAILURES, f"{type(error).__name__}: {error}")
                self._problems.report("failure", f"frame failed: {traceback.format_exc()}")

    def _answer(self, kind: str, cloud: PointCloud2) -> None:
        """Process a cloud, and tell who waits for matches that this is done, with or without a pose."""
        try:
            self._process(kind, cloud)
        finally:
            if kind != "features":
                self._processed_publisher.publish(cloud.header)

    def _process(self, kind: str, cloud: PointCloud2) -> None:
        """Publish the poses that are known after a cloud."""
        frame_id, stamp = cloud.header.frame_id, stamp_nanoseconds(cloud.header.stamp)
        if kind == "features":
            self._tracking.take_features(stamp, points_from_cloud(cloud), frame_id)
            return
        self._done.images += kind == "matches"
        try:
            camera = self._calibration.camera(frame_id)
        except ValueError as error:
            self._error(OdometryCount.FRAMES_WITHOUT_CAMERA_INFO, str(error))
            self._problems.report("camera", f"no pose without a calibration: {error}")
            return
        late = self._tracking.late
        for estimate in self._tracking.process(kind, stamp, points_from_cloud(cloud), camera, frame_id):
            self._publish(estimate, frame_id)
        self._outputs.publish_map(self._tracking)
        for reason in self._tracking.restarts():
            self._problems.report("restart", reason)
        if doubt := self._tracking.doubt:
            self._problems.report("size", doubt)
        self._counters.add(OdometryCount.LATE_CLOUDS, self._tracking.late - late)

    def _publish(self, estimate: Estimate, camera_frame: str) -> None:
        self._last = estimate
        self._counters.add(OdometryCount.FRAMES)
        self._done.add(estimate, self._tracking.mode)
        if estimate.problem:
            self._counters.add(OdometryCount.FAILURES)
            self._problems.report("motion", f"motion is guessed: {estimate.problem}")
        self._outputs.publish(estimate, camera_frame)
        if self._file is None:
            return
        try:
            self._file.write(estimate)
        except OSError as error:
            self._file = None
            self.get_logger().error(f"the trajectory file is not complete ({error.strerror}): make room on the disk")


def main(args: list[str] | None = None) -> int:
    INTERFACE.check_arguments(args)
    return run_node("odometry_node", OdometryNode, args)


if __name__ == "__main__":
    sys.exit(main())
