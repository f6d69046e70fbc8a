"""Publishes images as a camera would: from a folder, a video, a camera, a recording, or the synthetic flight."""

from __future__ import annotations

import array
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ..camera import Camera
from ..sources import Source, SourceImage, open_source
from .process import WorkerNode, run_node


def declare(node: Node, name: str, default: Any, description: str, low: float = 0.0, high: float = 0.0) -> Any:
    """A read-only parameter's value, with a range if one is given."""
    descriptor = ParameterDescriptor(description=description, read_only=True)
    if high > low:
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return node.declare_parameter(name, default, descriptor).value


class ImagePlayer(WorkerNode):
    """Publishes `image_raw`, and where they are known `camera_info` and `ground_truth` (camera in the world).

    Raises rclpy's parameter exceptions, OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("image_player", **node_options)
        source = declare(
            self,
            "source",
            "flight",
            "flight, a camera index, a folder of images, a video file, or a rosbag2 or .mcap recording",
        )
        topic = declare(self, "topic", "", "image topic of a recording; empty for its first")
        rate = declare(self, "rate", 0.0, "images per second; 0 for the source's own", 0.0, 1000.0)
        self._loop = declare(self, "loop", True, "start again at the end; otherwise the player exits there")
        calibration = declare(
            self,
            "camera_info_file",
            "",
            "calibration YAML, as camera_calibration writes it; overrides what the source knows",
        )
        self._frame_id = declare(self, "frame_id", "camera", "frame of the images")
        reliability = declare(self, "reliability", "best_effort", "QoS of the images: best_effort or reliable")
        if reliability not in ("best_effort", "reliable"):
            raise ValueError(f"parameter reliability is '{reliability}': choose best_effort or reliable")

        self._camera = read_calibration(Path(calibration).expanduser()) if calibration else None
        self._source: Source = open_source(source, topic)
        self._period = 1 / (rate or self._source.rate)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[reliability.upper()])
        self._image_publisher = self.create_publisher(Image, "image_raw", qos)
        self._info_publisher = self.create_publisher(CameraInfo, "camera_info", qos)
        self._pose_publisher = self.create_publisher(PoseStamped, "ground_truth", 10)
        self.get_logger().info(f"playing {source} at {1 / self._period:.1f} Hz" + (", looping" if self._loop else ""))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()

    def _play(self) -> None:
        try:
            due = time.monotonic()
            while True:
                for image in self._source:
                    if self._stopping.wait(max(0.0, due - time.monotonic())):
                        return
                    self._publish(image)
                    due = max(due + self._period, time.monotonic() - self._period)  # never a burst to catch up
                if not self._loop:
                    self.get_logger().info("the source has ended")
                    break
        except Exception as error:
            if self.context.ok():
                self.failure = str(error)
        self.context.try_shutdown()

    def _publish(self, image: SourceImage) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame_id)
        camera = self._camera or image.camera
        if camera is not None:
            self._info_publisher.publish(camera_info_message(header, camera))
        if image.pose is not None:
            self._pose_publisher.publish(PoseStamped(header=header, pose=pose_message(image.pose)))
        self._image_publisher.publish(image_message(header, image))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)


def image_message(header: Header, image: SourceImage) -> Image:
    return Image(
        header=header,
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        step=image.step,
        is_bigendian=int(image.is_bigendian),
        data=array.array("B", image.data.tobytes()),
    )


def camera_info_message(header: Header, camera: Camera) -> CameraInfo:
    """The camera_info of a monocular camera whose images are not rectified."""
    projection = np.hstack([camera.matrix, np.zeros((3, 1))])
    return CameraInfo(
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model=camera.model,
        d=camera.distortion.tolist(),
        k=camera.matrix.ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
    )


def pose_message(pose: np.ndarray) -> Pose:
    """A camera-to-world transform (4, 4) as a Pose."""
    axis_angle = cv2.Rodrigues(pose[:3, :3])[0].ravel()
    angle = float(np.linalg.norm(axis_angle))
    x, y, z = (axis_angle / angle if angle else axis_angle) * np.sin(angle / 2)
    position = Point(x=pose[0, 3], y=pose[1, 3], z=pose[2, 3])
    return Pose(position=position, orientation=Quaternion(x=x, y=y, z=z, w=float(np.cos(angle / 2))))


def read_calibration(path: Path) -> Camera:
    """Intrinsics from a camera_calibration YAML. Raises OSError or ValueError, naming the fix."""
    text = path.read_text(encoding="utf-8")
    try:
        values = yaml.safe_load(text)
        return Camera(
            values["image_width"],
            values["image_height"],
            np.array(values["camera_matrix"]["data"], float),
            np.array(values["distortion_coefficients"]["data"], float),
            values["distortion_model"],
        )
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is not a camera calibration ({error}): write one with camera_calibration"
        ) from error


def main(args: list[str] | None = None) -> int:
    return run_node("image_player", ImagePlayer, args)


if __name__ == "__main__":
    sys.exit(main())
