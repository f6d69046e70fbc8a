"""Messages of cameras, and recordings of them in every format, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mcap.writer import Writer as McapWriter
from numpy.typing import NDArray
from rosbags import rosbag1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from silk_ros.images.bag import BagSource
from silk_ros.images.source import SourceImage

STORE = get_typestore(Stores.ROS2_JAZZY)
ROS1_STORE = get_typestore(Stores.ROS1_NOETIC)
ROS = STORE.types
HEIGHT, WIDTH, COUNT = 24, 32, 10
BASE, STEP = 1_700_000_000 * 10**9, 10**8  # time of the first message and between two, in nanoseconds
FOCAL = 50.0
FORMATS = ("sqlite3", "mcap", "ros1")

Message = tuple[str, int, Any]  # topic, time of reception, message


def picture(index: int) -> NDArray[np.uint8]:
    """A grey picture that tells its place in a sequence by its brightness."""
    return np.random.default_rng(index).integers(20 * index, 20 * index + 10, (HEIGHT, WIDTH), np.uint8)


def indexes(images: Iterable[SourceImage]) -> list[int]:
    """The places that pictures tell."""
    return [int(np.asarray(image.data).mean()) // 20 for image in images]


def header(stamp: int, frame_id: str = "camera") -> Any:
    return ROS["std_msgs/msg/Header"](ROS["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9)), frame_id)


def image_message(
    index: int, stamp: int | None = None, encoding: str = "mono8", pixels: Any = None, frame_id: str = "camera"
) -> Any:
    """An image at its place in a sequence, with the stamp of that place if none is given."""
    pixels = picture(index) if pixels is None else pixels
    data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
    stamp = BASE + index * STEP if stamp is None else stamp
    height, width = pixels.shape[:2]
    return ROS["sensor_msgs/msg/Image"](header(stamp, frame_id), height, width, encoding, 0, len(data) // height, data)


def compressed_message(index: int, data: bytes | None = None, format: str = "mono8; png compressed ") -> Any:
    data = cv2.imencode(".png", picture(index))[1].tobytes() if data is None else data
    return ROS["sensor_msgs/msg/CompressedImage"](header(BASE + index * STEP), format, np.frombuffer(data, np.uint8))


def info_message(
    stamp: int, focal: float = FOCAL, width: int = WIDTH, frame_id: str = "camera", **replaced: Any
) -> Any:
    """A camera_info of the pictures; its P has twice the focal length of its K."""
    k = np.array([focal, 0, 15.5, 0, focal, 11.5, 0, 0, 1])
    p = np.array([2 * focal, 0, 15.5, -5, 0, 2 * focal, 11.5, 0, 0, 0, 1, 0])
    values = {"d": np.full(5, 0.01), "k": k, "r": np.eye(3).ravel(), "p": p, **replaced}
    region = ROS["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return ROS["sensor_msgs/msg/CameraInfo"](
        header(stamp, frame_id), HEIGHT, width, "plumb_bob", *values.values(), 0, 0, region
    )


def images_on(topic: str = "/image_raw", count: int = COUNT) -> list[Message]:
    return [(topic, BASE + index * STEP, image_message(index)) for index in range(count)]


def infos_on(topic: str = "/camera_info", delay: int = 0, **values: Any) -> list[Message]:
    """A camera_info for each of the images, with its stamp, that was received some nanoseconds after it."""
    times = [BASE + index * STEP for index in range(COUNT)]
    return [(topic, time + delay, info_message(time, **values)) for time in times]


def write(path: Path, messages: Iterable[Message], storage: str = "mcap", **options: Any) -> Path:
    """Write a recording in the order of the messages: a folder of rosbag2, or a file of ROS 1."""
    if storage == "ros1":
        return write_ros1(path.with_suffix(".bag"), messages)
    plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
    writer = Writer(path, version=9, storage_plugin=plugin)
    if options:
        writer.set_compression(**options)
    with writer:
        connections: dict[str, Any] = {}
        for topic, time, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], time, STORE.serialize_cdr(message, kind))
    return path


def write_ros1(path: Path, messages: Iterable[Message], connections: int = 1, compressed: bool = False) -> Path:
    """A bag of ROS 1 with a chunk for each message; its topics change from connection to connection."""
    writer = rosbag1.Writer(path)
    if compressed:
        writer.set_compression(writer.CompressionFormat.LZ4)
    writer.chunk_threshold = 1
    with writer:
        known: dict[tuple[str, int], Any] = {}
        for index, (topic, time, message) in enumerate(messages):
            kind, key = message.__msgtype__, (topic, index % connections)
            if key not in known:
                known[key] = writer.add_connection(topic, kind, typestore=ROS1_STORE, callerid=f"/driver{key[1]}")
            writer.write(known[key], time, ROS1_STORE.serialize_ros1(ros1_message(message), kind))
    return path


def ros1_message(message: Any) -> Any:
    """A message as ROS 1 has it: its header has a number, and D, K, R and P are capitals."""
    stamp = message.header.stamp
    time = ROS1_STORE.types["builtin_interfaces/msg/Time"](stamp.sec, stamp.nanosec)
    values = {member.name: getattr(message, member.name) for member in fields(message)}
    values["header"] = ROS1_STORE.types["std_msgs/msg/Header"](0, time, message.header.frame_id)
    capitals = {name.upper() if name in "dkrp" else name: value for name, value in values.items()}
    return ROS1_STORE.types[message.__msgtype__](**capitals)


def write_mcap(path: Path, messages: Iterable[Message], channels: int = 1, **options: Any) -> Path:
    """An MCAP file with options of the format's own library; its topics change from channel to channel."""
    options.setdefault("chunk_size", 1500)  # two images
    writer = McapWriter(str(path), **options)
    writer.start("ros2", "test")
    known: dict[tuple[str, int], int] = {}
    for index, (topic, time, message) in enumerate(messages):
        kind, key = message.__msgtype__, (topic, index % channels)
        if key not in known:
            known[key] = writer.register_channel(topic, "cdr", writer.register_schema(kind, "ros2msg", b""))
        writer.add_message(known[key], time, bytes(STORE.serialize_cdr(message, kind)), time)
    writer.finish()
    return path


def data_file(recording: Path) -> Path:
    """The file with the messages of a recording."""
    return recording if recording.is_file() else next(p for p in recording.iterdir() if p.suffix in (".mcap", ".db3"))


def read(path: Path, topic: str = "") -> list[int]:
    """The places of the images of a recording."""
    return indexes(BagSource(path, topic))
