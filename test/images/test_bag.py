from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags import rosbag1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from silk_ros.images.source import DEFAULT_RATE, SourceImage
from silk_ros.images.sources import open_source

STORE = get_typestore(Stores.ROS2_JAZZY)
ROS = STORE.types
HEIGHT, WIDTH, COUNT = 24, 32, 10
STORAGES = pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP], ids=["sqlite3", "mcap"])


def picture(level: int) -> NDArray[np.uint8]:
    """A grey picture that tells its place in a sequence by its brightness."""
    return np.random.default_rng(level).integers(20 * level, 20 * level + 10, (HEIGHT, WIDTH), np.uint8)


def pixels(image: SourceImage) -> NDArray[np.uint8]:
    return np.asarray(image.data).reshape(image.height, image.step)


def header() -> object:
    return ROS["std_msgs/msg/Header"](ROS["builtin_interfaces/msg/Time"](1, 0), "camera")


def image_message(level: int) -> object:
    return ROS["sensor_msgs/msg/Image"](header(), HEIGHT, WIDTH, "mono8", 0, WIDTH, picture(level).ravel())


def compressed_message(level: int) -> object:
    data = cv2.imencode(".png", picture(level))[1].ravel()
    return ROS["sensor_msgs/msg/CompressedImage"](header(), "mono8; png compressed", data)


def info_message(level: int, focal: float = 50.0) -> object:
    matrix = np.array([focal, 0, 15.5, 0, focal, 11.5, 0, 0, 1])
    region = ROS["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    projection = np.column_stack([matrix.reshape(3, 3), [-5.0, 0, 0]]).ravel() if focal else np.zeros(12)
    rectification = np.eye(3).ravel()
    return ROS["sensor_msgs/msg/CameraInfo"](
        header(), HEIGHT, WIDTH, "plumb_bob", np.full(5, 0.01), matrix, rectification, projection, 0, 0, region
    )


def uncalibrated_message(level: int) -> object:
    return info_message(level, focal=0.0)


def write_recording(folder: Path, storage: StoragePlugin, **topics: Callable[[int], object]) -> Path:
    """A rosbag2 folder of ten messages per topic at 10 Hz; `camera__image_raw` is the topic /camera/image_raw."""
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        for delay, (name, message) in enumerate(topics.items()):
            topic, kind = "/" + name.replace("__", "/"), message(0).__msgtype__
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for index in range(COUNT):
                writer.write(connection, index * 10**8 + delay, STORE.serialize_cdr(message(index), kind))
    return folder


def data_file(recording: Path) -> Path:
    return next(path for path in recording.iterdir() if path.suffix in (".mcap", ".db3"))


@STORAGES
@pytest.mark.parametrize("message", [image_message, compressed_message])
def test_a_recording_gives_its_images_in_order(tmp_path: Path, storage: StoragePlugin, message: Callable) -> None:
    source = open_source(str(write_recording(tmp_path / "bag", storage, camera__image_raw=message)))
    assert source.rate == pytest.approx(10, rel=0.2)
    for _ in range(2):  # as often as wanted
        images = list(source)
        assert [(image.encoding, image.height, image.width) for image in images] == [("mono8", HEIGHT, WIDTH)] * COUNT
        np.testing.assert_array_equal([pixels(image) for image in images], [picture(i) for i in range(COUNT)])
        assert {(image.stamp, image.frame_id) for image in images} == {(10**9, "camera")}  # of the header


@STORAGES
def test_the_file_inside_a_recording_will_do(tmp_path: Path, storage: StoragePlugin) -> None:
    inside = data_file(write_recording(tmp_path / "bag", storage, image_raw=image_message))
    assert len(list(open_source(str(inside)))) == COUNT
    alone = inside.rename(tmp_path / inside.name)
    assert len(list(open_source(str(alone)))) == COUNT


@STORAGES
def test_the_recorded_camera_info_comes_along(tmp_path: Path, storage: StoragePlugin) -> None:
    recording = write_recording(
        tmp_path / "bag", storage, camera__camera_info=info_message, camera__image_raw=image_message
    )
    for image in open_source(str(recording)):
        assert image.camera is not None
        assert (image.camera.width, image.camera.height, image.camera.model) == (WIDTH, HEIGHT, "plumb_bob")
        assert image.camera.matrix[0].tolist() == [50, 0, 15.5]
        assert image.camera.projection[0].tolist() == [50, 0, 15.5, -5]


def test_a_recording_of_ros_1_has_its_camera_too(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    types, info, image = store.types, info_message(1), image_message(1)
    head = types["std_msgs/msg/Header"](0, types["builtin_interfaces/msg/Time"](1, 0), "camera")
    with rosbag1.Writer(tmp_path / "recording.bag") as writer:
        for time, (topic, message) in enumerate([("/camera_info", info), ("/image_raw", image)]):
            connection = writer.add_connection(topic, message.__msgtype__, typestore=store)
            values = {name.name: getattr(message, name.name) for name in fields(message)} | {"header": head}
            capitals = {name.upper() if name in "dkrp" else name: value for name, value in values.items()}
            older = types[message.__msgtype__](**capitals)
            writer.write(connection, time, store.serialize_ros1(older, message.__msgtype__))
    (read,) = open_source(str(tmp_path / "recording.bag"))
    assert read.camera is not None and read.camera.matrix[0].tolist() == [50, 0, 15.5]


def test_another_camera_s_info_is_not_taken(tmp_path: Path) -> None:
    recording = write_recording(
        tmp_path / "bag", StoragePlugin.MCAP, left__camera_info=info_message, right__image=image_message
    )
    assert all(image.camera is None for image in open_source(str(recording)))


def test_an_uncalibrated_camera_info_is_ignored(tmp_path: Path) -> None:
    recording = write_recording(
        tmp_path / "bag", StoragePlugin.MCAP, camera_info=uncalibrated_message, image_raw=image_message
    )
    assert [image.camera for image in open_source(str(recording))] == [None] * COUNT


def test_compressed_images_find_their_camera_info(tmp_path: Path) -> None:
    """image_transport publishes /camera/image_raw/compressed; the camera_info stays /camera/camera_info."""
    recording = write_recording(
        tmp_path / "bag",
        StoragePlugin.MCAP,
        camera__camera_info=info_message,
        camera__image_raw__compressed=compressed_message,
    )
    assert all(image.camera is not None for image in open_source(str(recording)))


def test_the_topic_chooses_the_camera(tmp_path: Path) -> None:
    recording = write_recording(
        tmp_path / "bag",
        StoragePlugin.MCAP,
        left__image=image_message,
        right__image=lambda level: image_message(11 - level),
    )
    assert pixels(next(iter(open_source(str(recording), "/left/image"))))[0, 0] < 10
    assert pixels(next(iter(open_source(str(recording), "/right/image"))))[0, 0] >= 220


@STORAGES
def test_an_unknown_topic_lists_those_there_are(tmp_path: Path, storage: StoragePlugin) -> None:
    recording = write_recording(
        tmp_path / "bag", storage, right__image=image_message, left__image=compressed_message, camera_info=info_message
    )
    with pytest.raises(ValueError, match=r"no image topic '/nope' .* its image topics are /left/image, /right/image$"):
        open_source(str(recording), "/nope")


def test_a_recording_without_images_says_so(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "bag", StoragePlugin.MCAP, camera_info=info_message)
    with pytest.raises(ValueError, match="its image topics are none"):
        open_source(str(recording))


@STORAGES
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_recording_is_explained(tmp_path: Path, storage: StoragePlugin, share: float) -> None:
    recording = write_recording(tmp_path / "bag", storage, image_raw=image_message)
    whole = data_file(recording).read_bytes()
    data_file(recording).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"cannot read the recording .*: give a rosbag2 folder or an .mcap file"):
        open_source(str(recording))


def test_a_damaged_message_is_explained(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/image_raw", "sensor_msgs/msg/Image", typestore=STORE)
        writer.write(connection, 0, bytes(STORE.serialize_cdr(image_message(1), connection.msgtype))[:60])
    with pytest.raises(ValueError, match="cannot read the recording"):
        list(open_source(str(tmp_path / "bag")))


@pytest.mark.parametrize(("count", "rate"), [(COUNT, 10.0), (2, 10.0), (1, DEFAULT_RATE)])
def test_the_rate_of_a_recording_is_that_of_its_images(tmp_path: Path, count: int, rate: float) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/image_raw", "sensor_msgs/msg/Image", typestore=STORE)
        for index in range(count):
            writer.write(connection, index * 10**8, STORE.serialize_cdr(image_message(1), connection.msgtype))
    assert open_source(str(tmp_path / "bag")).rate == pytest.approx(rate, rel=1e-3)


def test_damaged_metadata_is_explained(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "bag", StoragePlugin.MCAP, image_raw=image_message)
    (recording / "metadata.yaml").write_text("not: [a, recording")
    with pytest.raises(ValueError, match="cannot read the recording"):
        open_source(str(recording))


def test_an_undecodable_compressed_image_is_explained(tmp_path: Path) -> None:
    def broken(level: int) -> object:
        return ROS["sensor_msgs/msg/CompressedImage"](header(), "jpeg", np.full(100, level, np.uint8))

    recording = write_recording(tmp_path / "bag", StoragePlugin.MCAP, image_raw=broken)
    with pytest.raises(ValueError, match=r"in the recording .*bag.: a compressed image is neither JPEG nor PNG"):
        list(open_source(str(recording)))
