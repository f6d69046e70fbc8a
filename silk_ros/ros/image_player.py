"""Publishes images as a camera would: from a folder, a video, a camera, a recording, or the synthetic flight."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ..camera import Camera
from ..sources import Source, SourceImage, open_source
from .messages import image_message, pose_message
from .parameters import Declaration, declare
from .process import WorkerNode, run_node
from .recorder import Recorder

SOURCE = "flight, a camera index, a folder of images, a video file, or a rosbag2 or .mcap recording"
DECLARATIONS = (
    Declaration("source", "flight", SOURCE),
    Declaration("topic", "", "image topic of a recording; empty for its first"),
    Declaration("rate", 0.0, "images per second; 0 for the source's own", (0.0, 1000.0)),
    Declaration("loop", True, "start again at the end; otherwise the player exits there"),
    Declaration(
        "camera_info_file", "", "calibration YAML, as camera_calibration writes it, instead of the source's own"
    ),
    Declaration("frame_id", "camera", "frame of the images"),
    Declaration("record", "", "new folder for a recording of what is published (loop: false); empty: none"),
    Declaration("reliability", "best_effort", "QoS of the images", choices=("best_effort", "reliable")),
)


class ImagePlayer(WorkerNode):
    """Publishes `image_raw`, and where they are known `camera_info` and `ground_truth` (camera in the world).

    Raises rclpy's parameter exceptions, OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("image_player", **node_options)
        values = declare(self, DECLARATIONS)
        self._loop, self._frame_id, calibration = values["loop"], values["frame_id"], values["camera_info_file"]
        self._camera = read_calibration(Path(calibration).expanduser()) if calibration else None
        self._source: Source = open_source(values["source"], values["topic"])
        self._period = 1 / (values["rate"] or self._source.rate)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[values["reliability"].upper()])
        self._image_publisher = self.create_publisher(Image, "image_raw", qos)
        self._info_publisher = self.create_publisher(CameraInfo, "camera_info", qos)
        self._pose_publisher = self.create_publisher(PoseStamped, "ground_truth", 10)
        self.get_logger().info(
            f"playing {values['source']} at {1 / self._period:.1f} Hz" + (", looping" if self._loop else "")
        )
        self._recorder = Recorder(Path(values["record"]).expanduser()) if values["record"] else None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()

    def _play(self) -> None:
        try:
            due = time.monotonic()
            while True:
                published = 0
                for image in self._source:
                    if self._stopping.wait(max(0.0, due - time.monotonic())):
                        return
                    self._publish(image)
                    published += 1
                    due = max(due + self._period, time.monotonic() - self._period)  # never a burst to catch up
                if not published:
                    raise ValueError("the source gave no image: check that it can be decoded")
                if not self._loop:
                    self.get_logger().info("the source has ended")
                    break
        except Exception as error:
            if self.context.ok():
                self.failure = str(error) or repr(error)
        finally:
            if self._recorder is not None:
                self._recorder.close()
        self.context.try_shutdown()

    def _publish(self, image: SourceImage) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame_id)
        camera = self._camera or image.camera
        if camera is not None:
            self._send(self._info_publisher, camera_info_message(header, camera), header)
        if image.pose is not None:
            world = Header(stamp=header.stamp, frame_id="world")
            self._send(self._pose_publisher, PoseStamped(header=world, pose=pose_message(image.pose)), header)
        message = image_message(
            header, image.data, image.height, image.encoding, width=image.width, is_bigendian=int(image.is_bigendian)
        )
        self._send(self._image_publisher, message, header)

    def _send(self, publisher: Publisher, message: Any, header: Header) -> None:
        publisher.publish(message)
        if self._recorder is not None:
            stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
            self._recorder.write(publisher.topic_name, message, stamp)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)


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
