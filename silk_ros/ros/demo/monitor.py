"""Monitor of the demo: listens to the nodes as a program downstream would, and measures what arrives."""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from ...geometry.epipolar import epipolar_distance, estimated_inliers, fundamental_from_poses
from ...geometry.trajectory import tum_rows, write_tum
from ...images.video_writer import VideoWriter, open_video_writer
from ..messages import points_from_cloud, stamp_nanoseconds
from ..poses import transform_from_pose
from .answers import FEATURES, IMAGES, MATCHES, ODOMETRY, Answers

EPIPOLAR_THRESHOLD = 1.5  # pixels up to which a match is correct
FRONT_END = "silk"  # names of the nodes, as on /diagnostics
ODOMETRY_NODE = "odometry"
REPEAT = 1.0  # seconds between two requests for the same image


@dataclass
class FrameRecord:
    """One frame as it arrived; a row of frames.csv."""

    stamp: float  # seconds
    latency_ms: float  # to the arrival of its matches: from that of its image in lock-step, else from its stamp
    keypoints: int
    matches: int
    correct: float  # share of correct matches; NaN where there are none, or where nothing is known
    motion: float  # median motion of the matches in pixels; NaN where there are none


class DemoMonitor(Node):
    """Records every frame, and the overlays as a video in real time. In lock-step it asks for the next image."""

    def __init__(self, output: Path, video_rate: float, prefix: str = "", images: int | None = None) -> None:
        """output: folder for the files. video_rate: in Hz. prefix: of the camera's topics, such as left/.

        images: number of images to ask for in lock-step; None while the player follows the clock.
        """
        super().__init__("demo_monitor")
        self.records: list[FrameRecord] = []
        self.image_stamps: list[float] = []
        self.image_size: tuple[int, int] | None = None  # width and height
        self.diagnostics: dict[str, dict[str, str]] = {}  # values by key, by the name of the node
        self.diagnosed: dict[str, float] = {}  # when these came, in seconds of the monotonic clock
        self.has_ground_truth = False
        self.true_poses: dict[int, NDArray[np.float64]] = {}  # camera to world, by stamp
        self.odometry: dict[int, NDArray[np.float64]] = {}  # camera to odometry frame, by stamp
        self.stereo, self.lock_step = bool(prefix), images is not None
        self.answers = Answers(2 if self.stereo else 1)
        self.answered: list[float] = []  # when each image was answered, in seconds of the monotonic clock
        self._images = images
        self._arrivals: dict[int, float] = {}  # of images, in seconds of the monotonic clock
        self._keypoints: dict[int, int] = {}
        self._matrix: NDArray[np.float64] | None = None
        self._output, self._video_rate = output, video_rate
        self._video: VideoWriter | None = None
        self._video_frames = 0
        self._first_overlay = 0.0
        self.shown = 0  # overlays that came
        self._matches: dict[int, int] = {}
        self._best: tuple[int, NDArray[np.uint8] | None] = -1, None  # the most matches, and the overlay that shows them
        self._subscribe(prefix)
        if self.lock_step:
            self._next_publisher = self.create_publisher(Header, "/image_player/next", 10)
            self.create_timer(REPEAT, self._ask_for_next)  # the player may not know of this publisher at once

    def _subscribe(self, prefix: str) -> None:
        """Subscribe to all topics, those that are sent first at first: that is the order in which messages that wait
        together are taken."""
        reliability = ReliabilityPolicy.RELIABLE if self.lock_step else ReliabilityPolicy.BEST_EFFORT
        sensor, overlay = (QoSProfile(depth=depth, reliability=reliability) for depth in (5, 2))
        add = self.create_subscription
        add(CameraInfo, f"{prefix}camera_info", self._on_camera_info, sensor)
        add(PoseStamped, "ground_truth", self._on_pose, 10)
        add(Image, f"{prefix}image_raw", self._on_image, sensor)
        add(PointCloud2, "/silk/features", self._on_features, 10)
        add(PointCloud2, "/silk/matches", self._on_matches, 10)
        add(Image, "/silk/image_overlay", self._on_overlay, overlay)
        add(Odometry, "/odometry/odometry", self._on_odometry, 100)
        add(Header, "/odometry/processed", self._on_processed, 10)
        add(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    @property
    def calibrated(self) -> bool:
        """Whether a camera_info has come."""
        return self._matrix is not None

    def _note(self, stage: str, stamp: int) -> None:
        if self.answers.add(stage, stamp):
            self.answered.append(time.monotonic())
            self._ask_for_next()

    def _ask_for_next(self) -> None:
        """Tell the player that the last image is answered, unless enough images were played."""
        if self._images is not None and 0 < self.answers.answered < self._images:
            sec, nanosec = divmod(self.answers.last, 10**9)
            self._next_publisher.publish(Header(stamp=Time(sec=sec, nanosec=nanosec)))

    def _on_image(self, message: Image) -> None:
        stamp = stamp_nanoseconds(message.header.stamp)
        self._arrivals[stamp] = time.monotonic()
        self.image_stamps.append(stamp / 1e9)
        self.image_size = message.width, message.height
        self._note(IMAGES, stamp)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._matrix = np.array(message.k).reshape(3, 3)

    def _on_pose(self, message: PoseStamped) -> None:
        self.true_poses[stamp_nanoseconds(message.header.stamp)] = transform_from_pose(message.pose)

    def _on_features(self, cloud: PointCloud2) -> None:
        stamp = stamp_nanoseconds(cloud.header.stamp)
        self._keypoints[stamp] = cloud.width
        self._note(FEATURES, stamp)

    def _on_matches(self, cloud: PointCloud2) -> None:
        stamp, points = stamp_nanoseconds(cloud.header.stamp), points_from_cloud(cloud)
        keypoints, correct, motion = self._keypoints.get(stamp, 0), float("nan"), float("nan")
        latency = self._latency(stamp)
        if len(points):
            correct = self._correct(stamp, points)
            motion = float(np.median(np.hypot(points["u"] - points["u_prev"], points["v"] - points["v_prev"])))
        self._matches[stamp] = len(points)
        self.records.append(FrameRecord(stamp / 1e9, 1e3 * latency, keypoints, len(points), correct, motion))
        self._note(MATCHES, stamp)

    def _latency(self, stamp: int) -> float:
        """Seconds until now, as `FrameRecord` defines them."""
        if self.lock_step:
            return time.monotonic() - self._arrivals.get(stamp, float("nan"))
        return time.time() - stamp / 1e9

    def _on_processed(self, header: Header) -> None:
        self._note(ODOMETRY, stamp_nanoseconds(header.stamp))

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
            if status.name not in self.diagnosed:
                self.answers.note_progress()
            self.diagnosed[status.name] = time.monotonic()
            self.diagnostics[status.name] = {value.key: value.value for value in status.values}

    def _on_odometry(self, message: Odometry) -> None:
        self.odometry[stamp_nanoseconds(message.header.stamp)] = transform_from_pose(message.pose.pose)

    def _on_overlay(self, message: Image) -> None:
        overlay = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        stamp = stamp_nanoseconds(message.header.stamp) / 1e9
        self.shown += 1
        if self._video is None:
            path = self._output / "overlay.mp4"
            self._video = open_video_writer(path, self._video_rate, message.width, message.height)
            self._first_overlay = stamp
        # A frame is repeated until the time of the next one, so that the video runs in real time.
        due = round((stamp - self._first_overlay) * self._video_rate) + 1
        while self._video_frames < due:
            self._video.write(overlay)
            self._video_frames += 1
        matches = self._matches.get(stamp_nanoseconds(message.header.stamp), 0)
        if matches > self._best[0]:
            self._best = matches, overlay

    def close(self) -> None:
        """Finish the video, and write the best overlay, the CSV, and the poses if there are any."""
        if self._video is not None:
            self._video.release()
        if self._best[1] is not None:
            cv2.imwrite(str(self._output / "overlay.png"), self._best[1])
        with (self._output / "frames.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(FrameRecord)])
            writer.writeheader()
            writer.writerows(asdict(record) for record in self.records)
        if self.odometry:
            stamps = sorted(self.odometry)
            poses = np.array([self.odometry[stamp] for stamp in stamps])
            write_tum(self._output / "odometry.txt", tum_rows(np.array(stamps) / 1e9, poses))
