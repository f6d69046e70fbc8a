"""Publishes images as a camera would: from a folder, a video, a camera, a recording, or the synthetic flight.

A folder of stereo pairs is played as two cameras, in the namespaces `left` and `right`, with equal stamps.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..geometry.camera import RECTIFIED
from ..images.calibration_file import read_calibration
from ..images.pace import Pace
from ..images.source import SourceImage
from ..images.sources import open_source
from ..parameters.declarations import Declaration, given_path
from .camera_messages import camera_info_message, compressed_message, raw_message
from .lock_step import LockStep
from .messages import stamp_nanoseconds
from .node.declarations import declare
from .node.interface import Interface
from .node.logs import NodeLog
from .node.process import WorkerNode, run_node
from .poses import pose_message
from .recording.recorder import Recorder

QUIET = 3.5  # seconds without a new subscriber after which no more are expected: DDS announces them every 3
DECLARATIONS = (
    Declaration("source", "flight", numbers=True).described(
        "Source of the images: flight (synthetic), a camera index, a folder of images or a data set, a video, or a "
        "recording (rosbag2, .mcap, .bag)."
    ),
    Declaration("topic", "").described("Image topic of a recording; empty: the first usable one by name."),
    Declaration("rectified", RECTIFIED[0], choices=RECTIFIED).described(
        "Whether the images of a recording are rectified, so that P of camera_info holds; auto: by the topic's name."
    ),
    Declaration("rate", 0.0, (0.0, 1000.0)).described("Images per second; 0: as they were recorded, with all gaps."),
    Declaration("wait", False).described("Start only when the images have a subscriber and no new ones appear."),
    Declaration("step", False).described(
        "Lock-step: after each image, wait for its stamp on ~/next (std_msgs/Header). Stamps then depend on the source "
        "only; set reliability to reliable here and image_reliability in the front-end."
    ),
    Declaration("loop", True).described("Start again at the end of the source; otherwise the player exits there."),
    Declaration("camera_info_file", "").described("YAML file of camera_calibration; empty: the source's calibration."),
    Declaration("frame_id", "camera").described("Frame of the images, to which stereo pairs append _left and _right."),
    Declaration("transport", "raw", choices=("raw", "compressed")).described(
        "raw images on image_raw, or compressed ones (JPEG, grey) on image_raw/compressed."
    ),
    Declaration("record", "").described("New folder for a recording, with loop set to false; empty: none."),
    Declaration("reliability", "best_effort", choices=("best_effort", "reliable")).described("QoS of the images."),
)

INTERFACE = Interface(
    "image_player",
    __doc__,
    DECLARATIONS,
    subscribed={"~/next": "std_msgs/Header, with step: the stamp of the image that is answered"},
    published={
        "image_raw": "sensor_msgs/Image. With transport compressed, image_raw/compressed of "
        "sensor_msgs/CompressedImage. Of stereo pairs, both in the namespaces left and right, as camera_info",
        "camera_info": "sensor_msgs/CameraInfo, where the calibration is known",
        "ground_truth": "geometry_msgs/PoseStamped, the pose of the camera in the world where it is known",
    },
)


class ImagePlayer(WorkerNode):
    """Publishes `image_raw`, and where they are known `camera_info` and `ground_truth` (camera in the world).

    For stereo pairs, `left/image_raw`, `left/camera_info` and the same of `right`; `ground_truth` is the left camera's.

    Raises OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("image_player", **node_options)
        self._log = NodeLog(self.get_logger())
        values = declare(self, DECLARATIONS)
        calibration, record = given_path(values["camera_info_file"]), given_path(values["record"])
        self._wait, self._loop = values["wait"], values["loop"]
        self._camera = read_calibration(calibration) if calibration else None
        self._source = open_source(values["source"], values["topic"], values["rectified"])
        self._rate = values["rate"]
        self._compressed = values["transport"] == "compressed"
        self._cameras = self._create_cameras(values["frame_id"], values["reliability"])
        self._pose_publisher = self.create_publisher(PoseStamped, "ground_truth", 10)
        self._recorder = Recorder(record) if record else None
        self._lock_step = LockStep(self) if values["step"] else None
        rate = "step by step" if values["step"] else f"at {self._rate or self._source.rate:.1f} Hz"
        self.get_logger().info(f"playing {values['source']} {rate}{', looping' if self._loop else ''}")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    def _create_cameras(self, frame_id: str, reliability: str) -> list[tuple[str, Publisher, Publisher]]:
        """Frame and publishers of images and camera_info, of one camera or of the left and right of stereo pairs."""
        stereo = self._source.stereo
        if stereo and self._camera is not None:
            fix = "put a calib.txt with the rows P0 and P1 into the stereo folder"
            raise ValueError(f"camera_info_file is of one camera: {fix}")
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[reliability.upper()])
        kind, topic = (CompressedImage, "image_raw/compressed") if self._compressed else (Image, "image_raw")
        names = {"left/": f"{frame_id}_left", "right/": f"{frame_id}_right"} if stereo else {"": frame_id}
        publisher = self.create_publisher
        return [
            (frame, publisher(kind, f"{prefix}{topic}", qos), publisher(CameraInfo, f"{prefix}camera_info", qos))
            for prefix, frame in names.items()
        ]

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)
        self._log.close()

    # The player's thread.

    def _run(self) -> None:
        try:
            with contextlib.closing(self._recorder) if self._recorder else contextlib.nullcontext():
                self._play()
        except Exception as error:
            # Publishing fails once the context is shut down; the source and the recording may fail at any time.
            if self.context.ok() or isinstance(error, OSError):
                self.failure = str(error) or repr(error)
        if self._recorder is not None and not self.failure:
            self.summary = f"recorded {self._recorder.summary}"
        self.context.try_shutdown()

    def _play(self) -> None:
        """Publish the images of the source at the wanted rate, or as recorded, until its end or that of the node."""
        if self._wait:
            self._wait_for_subscribers()
        due: float | None = None
        while not self._stopping.is_set():
            pace = Pace(self._rate or self._source.rate)
            for image in self._source:
                interval = pace.after_last(None if self._rate else image.stamp)
                if self._stopping.is_set():
                    return
                if self._lock_step is not None:
                    self._publish_and_wait(image, interval, self._lock_step)
                    continue
                now = time.monotonic()
                due = now if due is None else max(due + interval, now - interval)  # never a burst to catch up
                if self._stopping.wait(max(0.0, due - now)):
                    return
                self._publish(image, self.get_clock().now().to_msg())
            if not self._loop:
                self.get_logger().info("the source has ended")
                return

    def _wait_for_subscribers(self) -> None:
        """Wait until the images of every camera have a subscriber and no topic has got a new one for a while."""
        publishers = [publisher for _, *both in self._cameras for publisher in both]
        counts: list[int] = []
        changed = time.monotonic()
        while not self._stopping.wait(0.1):
            before, counts = counts, [publisher.get_subscription_count() for publisher in publishers]
            if counts != before:
                changed = time.monotonic()
            if all(counts[::2]) and time.monotonic() >= changed + QUIET:
                return

    def _publish_and_wait(self, image: SourceImage, interval: float, lock_step: LockStep) -> None:
        """Publish an image of lock-step, and wait for its answer. One without the other of its pair gets none."""
        self._publish(image, lock_step.next_stamp(interval, image.stamp))
        if image.right is not None or not self._source.stereo:
            lock_step.wait_for_answer(self._stopping)

    def _publish(self, image: SourceImage, stamp: Time) -> None:
        """Publish an image, or a stereo pair, with the pose and the calibrations that are known."""
        if image.pose is not None:
            world = Header(stamp=stamp, frame_id="world")
            self._send(self._pose_publisher, PoseStamped(header=world, pose=pose_message(image.pose)))
        make_message = compressed_message if self._compressed else raw_message
        views = [image] if image.right is None else [image, image.right]
        for (frame_id, image_publisher, info_publisher), view in zip(self._cameras, views):
            header = Header(stamp=stamp, frame_id=frame_id)
            if (camera := self._camera or view.camera) is not None:
                self._send(info_publisher, camera_info_message(header, camera))
            self._send(image_publisher, make_message(header, view))

    def _send(self, publisher: Publisher, message: Any) -> None:
        """Publish a message, and record it if that is wanted."""
        publisher.publish(message)
        if self._recorder is not None:
            self._recorder.write(publisher.topic_name, message, stamp_nanoseconds(message.header.stamp))


def main(args: list[str] | None = None) -> int:
    INTERFACE.check_arguments(args)
    return run_node("image_player", ImagePlayer, args)


if __name__ == "__main__":
    sys.exit(main())
