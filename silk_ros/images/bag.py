"""The images of a rosbag2 or MCAP recording, and of a ROS 1 bag."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..geometry.camera import Camera, camera_from_message
from .encoded import decode_image
from .source import DEFAULT_RATE, Source, SourceImage


class BagSource(Source):
    """The images of one topic of a rosbag2 or MCAP recording, with its camera_info where it was recorded."""

    IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
    INFO_TYPE = "sensor_msgs/msg/CameraInfo"

    def __init__(self, path: Path, topic: str = "") -> None:
        super().__init__(str(path))
        try:
            from rosbags.highlevel import AnyReader
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            raise ImportError("playing a recording needs the rosbags library: pip install rosbags") from error
        self._path, self._topic = path, topic
        self._open_reader = lambda: AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        with self._errors_named(), self._open_reader() as reader:
            count = self._image_connection(reader).msgcount
            seconds = reader.duration / 1e9
        self.rate = (count - 1) / seconds if count > 1 and seconds > 0 else DEFAULT_RATE

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Turn the exceptions of the library, and of the storage formats below it, into ValueError with a remedy."""
        try:
            yield
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(
                f"cannot read the recording '{self._path}' ({error}): give a rosbag2 folder or an .mcap file, "
                "or mend it with ros2 bag reindex"
            ) from error

    def _image_connection(self, reader: Any) -> Any:
        images = [connection for connection in reader.connections if connection.msgtype in self.IMAGE_TYPES]
        wanted = [connection for connection in images if not self._topic or connection.topic == self._topic]
        if not wanted:
            topics = ", ".join(sorted(connection.topic for connection in images)) or "none"
            raise ValueError(f"no image topic '{self._topic}' in '{self._path}': its image topics are {topics}")
        return wanted[0]

    def _read(self) -> Iterator[SourceImage]:
        with self._open_reader() as reader:
            images = self._image_connection(reader)
            # image_transport publishes /camera/image_raw/compressed beside /camera/camera_info.
            info_topic = images.topic.removesuffix("/compressed").rsplit("/", 1)[0] + "/camera_info"
            infos = [c for c in reader.connections if c.msgtype == self.INFO_TYPE and c.topic == info_topic]
            messages = reader.messages(connections=[images, *infos])
            camera = None
            while True:
                with self._errors_named():
                    connection, _, raw = next(messages, (None, 0, b""))
                    if connection is None:
                        return
                    message: Any = reader.deserialize(raw, connection.msgtype)
                if connection.msgtype == self.INFO_TYPE:
                    camera = _camera_or_none(message)
                else:
                    yield self._image(message, connection.msgtype, camera)

    def _image(self, message: Any, message_type: str, camera: Camera | None) -> SourceImage:
        header = message.header
        stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
        if message_type == "sensor_msgs/msg/Image":
            return SourceImage(
                message.data,
                message.height,
                message.width,
                message.encoding,
                message.step,
                bool(message.is_bigendian),
                camera=camera,
                stamp=stamp,
                frame_id=header.frame_id,
            )
        try:
            image = decode_image(bytes(message.data))
        except ValueError as error:
            raise ValueError(f"in the recording '{self._path}': {error}") from error
        return SourceImage.from_array(image, camera=camera, stamp=stamp, frame_id=header.frame_id)


def _camera_or_none(message: Any) -> Camera | None:
    fields = {name.lower(): value for name, value in vars(message).items()}  # D, K, R and P in ROS 1
    try:
        return camera_from_message(SimpleNamespace(**fields))
    except ValueError:  # a driver that publishes an empty camera_info has no calibration
        return None
