"""Monitor of the demo: listens to the nodes as a program downstream would, and measures what arrives."""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from ...geometry.epipolar import epipolar_distance, estimated_inliers, fundamental_from_poses
from ...images.video_writer import VideoWriter, open_video_writer
from ..messages import points_from_cloud, stamp_nanoseconds
from ..poses import transform_from_pose

EPIPOLAR_THRESHOLD = 1.5  # pixels up to which a match is correct
FRONT_END = "silk"  # names of the nodes, as on /diagnostics
ODOMETRY = "odometry"


@dataclass
class FrameRecord:
    """One frame as it arrived; a row of frames.csv."""

    stamp: float  # seconds
    latency_ms: float  # from the image's stamp to the arrival of its matches at the monitor
    keypoints: int
    matches: int
    correct: float  # share of correct matches; NaN where there are none, or where nothing is known


class DemoMonitor(Node):
    """Records every frame, and the overlays as a video in real time."""

    def __init__(self, output: Path, video_rate: float, prefix: str = "") -> None:
        """output: folder for the files. video_rate: in Hz. prefix: of the camera's topics, such as left/."""
        super().__init__("demo_monitor")
        self.records: list[FrameRecord] = []
        self.image_stamps: list[float] = []
        self.image_size: tuple[int, int] | None = None  # width and height
        self.diagnostics: dict[str, dict[str, str]] = {}  # values by key, by the name of the node
        self.has_ground_truth = False
        self.true_poses: dict[int, NDArray[np.float64]] = {}  # camera to world, by stamp
        self.odometry: dict[int, NDArray[np.float64]] = {}  # camera to odometry frame, by stamp
        self._keypoints: dict[int, int] = {}
        self._matrix: NDArray[np.float64] | None = None
        self._output, self._video_rate = output, video_rate
        self._video: VideoWriter | None = None
        self._video_frames = 0
        self._first_overlay = 0.0
        self._best: tuple[int, NDArray[np.uint8] | None] = -1, None  # the most matches, and the overlay that shows them
        self.create_subscription(PointCloud2, "/silk/features", self._on_features, 10)
        self.create_subscription(PointCloud2, "/silk/matches", self._on_matches, 10)
        best_effort = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, "/silk/image_overlay", self._on_overlay, best_effort)
        self.create_subscription(Image, f"{prefix}image_raw", self._on_image, qos_profile_sensor_data)
        self.create_subscription(CameraInfo, f"{prefix}camera_info", self._on_camera_info, qos_profile_sensor_data)
        self.create_subscription(PoseStamped, "ground_truth", self._on_pose, 10)
        self.create_subscription(Odometry, "/odometry/odometry", self._on_odometry, 100)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_image(self, message: Image) -> None:
        self.image_stamps.append(stamp_nanoseconds(message.header.stamp) / 1e9)
        self.image_size = message.width, message.height

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._matrix = np.array(message.k).reshape(3, 3)

    def _on_pose(self, message: PoseStamped) -> None:
        self.true_poses[stamp_nanoseconds(message.header.stamp)] = transform_from_pose(message.pose)

    def _on_features(self, cloud: PointCloud2) -> None:
        self._keypoints[stamp_nanoseconds(cloud.header.stamp)] = cloud.width

    def _on_matches(self, cloud: PointCloud2) -> None:
        arrival = time.time()
        stamp, points = stamp_nanoseconds(cloud.header.stamp), points_from_cloud(cloud)
        latency_ms, keypoints = 1e3 * (arrival - stamp / 1e9), self._keypoints.get(stamp, 0)
        correct = self._correct(stamp, points) if len(points) else float("nan")
        self.records.append(FrameRecord(stamp / 1e9, latency_ms, keypoints, len(points), correct))

    def _correct(self, stamp: int, points: NDArray) -> float:
        """Share of the matches that fit the true geometry of the two views or, without poses, the estimated one."""
        now = np.stack([points["u"], points["v"]], axis=1).astype(np.float64)
        before = np.stack([points["u_prev"], points["v_prev"]], axis=1).astype(np.float64)
        previous = int(points["prev_sec"][0]) * 10**9 + int(points["prev_nanosec"][0])
        if self._matrix is None or stamp not in self.true_poses or previous not in self.true_poses:
            if self.has_ground_truth:  # the message with the pose was lost: nothing is known about this frame
                return float("nan")
            return float(estimated_inliers(now, before, EPIPOLAR_THRESHOLD).mean())
        self.has_ground_truth = True
        fundamental = fundamental_from_poses(self._matrix, self.true_poses[stamp], self.true_poses[previous])
        return float((epipolar_distance(fundamental, now, before) <= EPIPOLAR_THRESHOLD).mean())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = {value.key: value.value for value in status.values}

    def _on_odometry(self, message: Odometry) -> None:
        self.odometry[stamp_nanoseconds(message.header.stamp)] = transform_from_pose(message.pose.pose)

    def _on_overlay(self, message: Image) -> None:
        overlay = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        stamp = stamp_nanoseconds(message.header.stamp) / 1e9
        if self._video is None:
            path = self._output / "overlay.mp4"
            self._video = open_video_writer(path, self._video_rate, message.width, message.height)
            self._first_overlay = stamp
        # A frame is repeated until the time of the next one, so that the video runs in real time.
        due = round((stamp - self._first_overlay) * self._video_rate) + 1
        while self._video_frames < due:
            self._video.write(overlay)
            self._video_frames += 1
        matches = self.records[-1].matches if self.records else 0
        if matches > self._best[0]:
            self._best = matches, overlay

    def close(self) -> None:
        """Finish the video, and write the best overlay and the CSV."""
        if self._video is not None:
            self._video.release()
        if self._best[1] is not None:
            cv2.imwrite(str(self._output / "overlay.png"), self._best[1])
        with (self._output / "frames.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(FrameRecord)])
            writer.writeheader()
            writer.writerows(asdict(record) for record in self.records)
