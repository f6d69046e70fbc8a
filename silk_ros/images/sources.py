"""Where images can come from: a folder, a video, a camera, a rosbag2 or MCAP recording, or the synthetic flight."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera, camera_from_message
from .flight import LAP, SyntheticFlight

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
FLIGHT_RATE = FOLDER_RATE = 10.0  # Hz


@dataclass(frozen=True, eq=False)
class SourceImage:
    """An image as a camera driver would publish it, with what else is known of the moment.

    data: raw buffer of `step` bytes per row. pose: camera-to-world (4, 4). camera: calibration.
    stamp, frame_id: of a recorded message's header, in nanoseconds.
    right: the image of the right camera at that moment, where this is the left one of a stereo pair.
    """

    data: NDArray[np.uint8]
    height: int
    width: int
    encoding: str
    step: int
    is_bigendian: bool = False
    pose: NDArray[np.float64] | None = None
    camera: Camera | None = None
    stamp: int | None = None
    frame_id: str | None = None
    right: SourceImage | None = None

    @classmethod
    def from_array(cls, image: NDArray[Any], **known: Any) -> SourceImage:
        """From an OpenCV image: grey or BGR(A), 8 or 16 bits."""
        encodings = {(1, 1): "mono8", (3, 1): "bgr8", (4, 1): "bgra8", (1, 2): "mono16", (3, 2): "bgr16"}
        channels = 1 if image.ndim == 2 else image.shape[2]
        encoding = encodings.get((channels, image.dtype.itemsize)) if image.dtype.kind == "u" else None
        if encoding is None:
            raise ValueError(
                f"cannot publish an image of shape {image.shape} and type {image.dtype}: "
                "convert it to grey or colour, 8 or 16 bits"
            )
        data = np.ascontiguousarray(image).view(np.uint8).reshape(-1)
        return cls(data, image.shape[0], image.shape[1], encoding, len(data) // image.shape[0], **known)


class Source(Protocol):
    """Iterating gives the images from the start, as often as wanted. `rate` is the source's own, in Hz."""

    rate: float

    def __iter__(self) -> Iterator[SourceImage]: ...


class FlightSource:
    """The synthetic flight, one lap."""

    rate = FLIGHT_RATE

    def __init__(self) -> None:
        self._flight = SyntheticFlight()

    def __iter__(self) -> Iterator[SourceImage]:
        for index in range(round(LAP * self.rate)):
            time = index / self.rate
            yield SourceImage.from_array(
                self._flight.render(time), pose=self._flight.pose(time), camera=self._flight.camera
            )


class FolderSource:
    """The images of a folder in the order of their names. One that cannot be read is an error when its turn comes."""

    rate = FOLDER_RATE

    def __init__(self, folder: Path, pattern: str = "*") -> None:
        self._paths = sorted(path for path in folder.glob(pattern) if path.suffix.lower() in IMAGE_SUFFIXES)
        if not self._paths:
            raise ValueError(
                f"no images '{folder / pattern}': there should be {', '.join(sorted(IMAGE_SUFFIXES))} files"
            )

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[SourceImage]:
        for path in self._paths:
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise ValueError(f"cannot read the image '{path}': remove or replace the file")
            yield SourceImage.from_array(image)


class VideoSource:
    """A video file, or a camera by its index."""

    def __init__(self, source: Path | int) -> None:
        self._source = source if isinstance(source, int) else str(source)
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else 30.0
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._source)
        if not capture.isOpened():
            what = "camera" if isinstance(self._source, int) else "video"
            raise ValueError(
                f"cannot open the {what} '{self._source}': check that it exists and that OpenCV can decode it"
            )
        return capture

    def __iter__(self) -> Iterator[SourceImage]:
        capture = self._open()
        try:
            while True:
                more, image = capture.read()
                if not more:
                    return
                yield SourceImage.from_array(image)
        finally:
            capture.release()


class BagSource:
    """The images of one topic of a rosbag2 or MCAP recording, with its camera_info where it was recorded."""

    IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
    INFO_TYPE = "sensor_msgs/msg/CameraInfo"

    def __init__(self, path: Path, topic: str = "") -> None:
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
        self.rate = (count - 1) / seconds if count > 1 and seconds > 0 else FOLDER_RATE

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        """The library's own exceptions, and those of the storage formats below it, as ValueError with a remedy."""
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

    def __iter__(self) -> Iterator[SourceImage]:
        with self._open_reader() as reader:
            images = self._image_connection(reader)
            # image_transport puts /camera/image_raw/compressed beside /camera/camera_info
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
        image = cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED)
        if image is None:
            raise ValueError(f"cannot decode a compressed image in '{self._path}': record it again")
        return SourceImage.from_array(image, camera=camera, stamp=stamp, frame_id=header.frame_id)


def _camera_or_none(message: Any) -> Camera | None:
    fields = {name.lower(): value for name, value in vars(message).items()}  # D, K, R and P in ROS 1
    try:
        return camera_from_message(SimpleNamespace(**fields))
    except ValueError:  # a driver that publishes an empty camera_info has no calibration
        return None


def open_source(source: str, topic: str = "") -> Source:
    """The source a user means by `flight`, a camera index, a folder of images or a pattern of file names in it, one of
    stereo pairs (see `StereoFolderSource`), a video file or a recording.

    Raises ValueError or ImportError, naming the fix, when there is no such source.
    """
    if source == "flight":
        return FlightSource()
    if source.isdecimal():
        return VideoSource(int(source))
    path = Path(source).expanduser()
    if not path.exists():
        if "*" in path.name and path.parent.is_dir():
            return FolderSource(path.parent, path.name)
        raise ValueError(
            f"no source '{source}': give 'flight', a camera index, a folder of images or a pattern such as "
            "'folder/*.color.jpg', a video file, or a rosbag2 or .mcap recording"
        )
    if path.suffix.lower() in (".mcap", ".db3", ".bag"):
        # A file inside a rosbag2 folder is read through the folder's metadata.
        return BagSource(path.parent if (path.parent / "metadata.yaml").exists() else path, topic)
    if path.is_dir():
        from .folders import StereoFolderSource, stereo_folders  # which is built on this module

        if (folders := stereo_folders(path)) is not None:
            return StereoFolderSource(*folders)
        recorded = any(next(path.glob(name), None) for name in ("metadata.yaml", "*.mcap*", "*.db3*"))
        return BagSource(path, topic) if recorded else FolderSource(path)
    return VideoSource(path)
