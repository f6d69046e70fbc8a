"""Publishes images as a camera would: from a folder, a video, a camera, a recording, or the synthetic flight.

A folder of stereo pairs is played as two cameras, in the namespaces `left` and `right`, with equal stamps.
"""

from __future__ import annotations

import array
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..geometry.camera import Camera
from ..images.folders import StereoFolderSource
from ..images.gray import to_gray
from ..images.source import Source, SourceImage
from ..images.sources import open_source
from .messages import image_message, pose_message, stamp_nanoseconds
from .node.declarations import Declaration, declare
from .node.process import WorkerNode, run_node
from .recording.recorder import Recorder

SOURCE = "flight, a camera index, a folder of images or of stereo pairs, a video file, or a rosbag2 or .mcap recording"
JPEG_QUALITY = 95
SETTLED = 3.5  # seconds without a new subscriber; DDS announces what is there every 3
DECLARATIONS = (
    Declaration("source", "flight", SOURCE),
    Declaration("topic", "", "image topic of a recording; empty for its first"),
    Declaration("rate", 0.0, "images per second; 0 for the source's own", (0.0, 1000.0)),
    Declaration("wait", False, "start when the images have a subscriber and no more come, not at once"),
    Declaration("loop", True, "start again at the end; otherwise the player exits there"),
    Declaration(
        "camera_info_file", "", "calibration YAML, as camera_calibration writes it, instead of the source's own"
    ),
    Declaration("frame_id", "camera", "frame of the images; of stereo pairs, with _left and _right appended"),
    Declaration(
        "transport",
        "raw",
        "image_raw, or JPEG in grey on image_raw/compressed, as image_transport names it",
        choices=("raw", "compressed"),
    ),
    Declaration("record", "", "new folder for a recording of what is published (loop: false); empty: none"),
    Declaration("reliability", "best_effort", "QoS of the images", choices=("best_effort", "reliable")),
)


class _CameraTopics(NamedTuple):
    """What one camera publishes with."""

    frame_id: str
    image: Publisher
    info: Publisher


class ImagePlayer(WorkerNode):
    """Publishes `image_raw`, and where they are known `camera_info` and `ground_truth` (camera in the world).

    For stereo pairs, `left/image_raw`, `left/camera_info` and the same of `right`; `ground_truth` is the left camera's.

    Raises rclpy's parameter exceptions, OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("image_player", **node_options)
        values = declare(self, DECLARATIONS)
        self._wait, self._loop, calibration = values["wait"], values["loop"], values["camera_info_file"]
        self._camera = read_calibration(Path(calibration).expanduser()) if calibration else None
        self._source: Source = open_source(values["source"], values["topic"])
        self._period = 1 / (values["rate"] or self._source.rate)
        self._compressed = values["transport"] == "compressed"
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[values["reliability"].upper()])
        if isinstance(self._source, StereoFolderSource):
            if self._camera is not None:
                raise ValueError(
                    "camera_info_file is of one camera: put a calib.txt with the rows P0 and P1 into the stereo folder"
                )
            self._cameras = [
                self._camera_topics(f"{side}/", f"{values['frame_id']}_{side}", qos) for side in ("left", "right")
            ]
        else:
            self._cameras = [self._camera_topics("", values["frame_id"], qos)]
        self._pose_publisher = self.create_publisher(PoseStamped, "ground_truth", 10)
        self.get_logger().info(
            f"playing {values['source']} at {1 / self._period:.1f} Hz" + (", looping" if self._loop else "")
        )
        self._recorder = Recorder(Path(values["record"]).expanduser()) if values["record"] else None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    def _camera_topics(self, prefix: str, frame_id: str, qos: QoSProfile) -> _CameraTopics:
        if self._compressed:
            images = self.create_publisher(CompressedImage, f"{prefix}image_raw/compressed", qos)
        else:
            images = self.create_publisher(Image, f"{prefix}image_raw", qos)
        return _CameraTopics(frame_id, images, self.create_publisher(CameraInfo, f"{prefix}camera_info", qos))

    def _run(self) -> None:
        try:
            try:
                self._play()
            finally:
                if self._recorder is not None:
                    self._recorder.close()
        except OSError as error:  # of the source or the recording
            self.failure = str(error)
        except Exception as error:
            if self.context.ok():  # publishing fails once the context is shut down
                self.failure = str(error) or repr(error)
        self.context.try_shutdown()

    def _wait_for_subscribers(self) -> None:
        """Until every camera's images have one, and no more have come for a while: then nobody misses the first."""
        topics = [publisher for camera in self._cameras for publisher in (camera.image, camera.info)]
        counts: list[int] = []
        changed = time.monotonic()
        while not all(counts[::2]) or not counts or time.monotonic() < changed + SETTLED:
            if self._stopping.wait(0.1):
                return
            before, counts = counts, [publisher.get_subscription_count() for publisher in topics]
            if counts != before:
                changed = time.monotonic()

    def _play(self) -> None:
        if self._wait:
            self._wait_for_subscribers()
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
                return

    def _publish(self, image: SourceImage) -> None:
        stamp = self.get_clock().now().to_msg()
        if image.pose is not None:
            world = Header(stamp=stamp, frame_id="world")
            self._send(self._pose_publisher, PoseStamped(header=world, pose=pose_message(image.pose)), world)
        for topics, shot in zip(self._cameras, [image] if image.right is None else [image, image.right]):
            header = Header(stamp=stamp, frame_id=topics.frame_id)
            camera = self._camera or shot.camera
            if camera is not None:
                self._send(topics.info, camera_info_message(header, camera), header)
            message = compressed_message(header, shot) if self._compressed else raw_message(header, shot)
            self._send(topics.image, message, header)

    def _send(self, publisher: Publisher, message: Any, header: Header) -> None:
        publisher.publish(message)
        if self._recorder is not None:
            self._recorder.write(publisher.topic_name, message, stamp_nanoseconds(header.stamp))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)


def raw_message(header: Header, image: SourceImage) -> Image:
    return image_message(
        header, image.data, image.height, image.encoding, width=image.width, is_bigendian=int(image.is_bigendian)
    )


def compressed_message(header: Header, image: SourceImage) -> CompressedImage:
    """The image in grey, as JPEG."""
    gray = to_gray(image.data.data, image.height, image.width, image.encoding, image.step, image.is_bigendian)
    encoded = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    data = array.array("B", encoded.tobytes())
    return CompressedImage(header=header, format="mono8; jpeg compressed mono8", data=data)


def camera_info_message(header: Header, camera: Camera) -> CameraInfo:
    return CameraInfo(
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model=camera.model,
        d=camera.distortion.tolist(),
        k=camera.matrix.ravel(),
        r=camera.rectification.ravel(),
        p=camera.projection.ravel(),
    )


def read_calibration(path: Path) -> Camera:
    """A camera from a camera_calibration YAML. Raises OSError or ValueError, naming the fix."""
    text = path.read_text(encoding="utf-8")
    try:
        values = yaml.safe_load(text)
        rectified = {
            name: np.array(values[f"{name}_matrix"]["data"], float)
            for name in ("rectification", "projection")
            if f"{name}_matrix" in values
        }
        return Camera(
            values["image_width"],
            values["image_height"],
            np.array(values["camera_matrix"]["data"], float),
            np.array(values["distortion_coefficients"]["data"], float),
            values["distortion_model"],
            **rectified,
        )
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is not a camera calibration ({error}): write one with camera_calibration"
        ) from error


def main(args: list[str] | None = None) -> int:
    return run_node("image_player", ImagePlayer, args)


if __name__ == "__main__":
    sys.exit(main())
