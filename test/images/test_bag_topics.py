from __future__ import annotations

import logging
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from recorded import BASE, COUNT, FORMATS, STORE, Message, compressed_message, image_message, images_on, infos_on, write
from rosbags.rosbag2 import StoragePlugin, Writer

from silk_ros.images.bag import BagSource
from silk_ros.images.sources import open_source

ALL_FORMATS = pytest.mark.parametrize("storage", FORMATS)
DEPTHS = np.full((24, 32), 1500, np.uint16)


def on(topic: str, message: object) -> list[Message]:
    return [(topic, BASE + index, message) for index in range(3)]


def chosen(path: Path) -> str:
    """The topic that a source tells of; it holds other images than the rest."""
    about = BagSource(path).about
    return about.removeprefix("the images are those of ").split(",")[0]


def depth_png(topic: str) -> list[Message]:
    png = struct.pack("<iff", 0, 0.0, 0.0) + cv2.imencode(".png", DEPTHS)[1].tobytes()
    return on(topic, compressed_message(0, png, "16UC1; compressedDepth png"))


DEPTH_TOPICS = {
    "/a/depth/image_rect_raw": on("/a/depth/image_rect_raw", image_message(0, encoding="16UC1", pixels=DEPTHS)),
    "/a/disparity": on("/a/disparity", image_message(0, encoding="mono16", pixels=DEPTHS)),
    "/a/registered": on("/a/registered", image_message(0, encoding="32FC1", pixels=DEPTHS.astype(np.float32))),
    "/a/depth/compressedDepth": depth_png("/a/depth/compressedDepth"),
    "/a/depth/compressed": on("/a/depth/compressed", compressed_message(0, format="16UC1; png compressed ")),
}


@ALL_FORMATS
@pytest.mark.parametrize("depth", DEPTH_TOPICS)
def test_depth_is_never_taken(tmp_path: Path, storage: str, depth: str) -> None:
    bag = write(tmp_path / "bag", [*DEPTH_TOPICS[depth], *images_on("/camera/image_raw")], storage)
    source = BagSource(bag)
    assert len(list(source)) == COUNT
    assert source.about == (
        "the images are those of /camera/image_raw, the only usable topic; "
        f"not {depth} (it holds depths); choose with topic"
    )
    with pytest.raises(
        ValueError, match=rf"'{depth}' in '.*' cannot be used \(it holds depths\): its image topics are"
    ):
        BagSource(bag, depth)


def test_16_bits_are_no_depths_where_nothing_says_so(tmp_path: Path) -> None:
    thermal = on("/thermal/image_raw", image_message(0, encoding="16UC1", pixels=DEPTHS))
    assert len(list(BagSource(write(tmp_path / "bag", thermal)))) == 3


@pytest.mark.parametrize("plugin", StoragePlugin)
def test_a_topic_without_messages_is_never_taken(tmp_path: Path, plugin: StoragePlugin) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as writer:
        kind = "sensor_msgs/msg/Image"
        writer.add_connection("/a/infra/image_raw", kind, typestore=STORE)
        used = writer.add_connection("/b/image_raw", kind, typestore=STORE)
        for _, time, message in images_on():
            writer.write(used, time, STORE.serialize_cdr(message, kind))
    assert chosen(tmp_path / "bag") == "/b/image_raw"
    with pytest.raises(ValueError, match="it has no messages"):
        BagSource(tmp_path / "bag", "/a/infra/image_raw")


@pytest.mark.parametrize("plugin", StoragePlugin)
def test_a_recording_with_empty_topics_only_is_refused(tmp_path: Path, plugin: StoragePlugin) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=plugin) as writer:
        writer.add_connection("/image_raw", "sensor_msgs/msg/Image", typestore=STORE)
    text = r"no usable image topic in '.*': its image topics are /image_raw \(it has no messages\)$"
    with pytest.raises(ValueError, match=text):
        BagSource(tmp_path / "bag")


@pytest.mark.parametrize(
    ("topics", "wanted"),
    [
        (["/right/image", "/left/image"], "/left/image"),
        (["/camera/debug/image", "/front/image_raw"], "/front/image_raw"),
        (["/a/segmentation_mask", "/b/image_raw/compressed"], "/b/image_raw/compressed"),
        (["/camera/image_raw/compressed", "/camera/image_raw"], "/camera/image_raw"),
    ],
)
def test_the_first_camera_by_name_is_taken_and_named(
    tmp_path: Path, topics: list[str], wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bag = write(tmp_path / "bag", [message for topic in topics for message in images_on(topic)])
    assert chosen(bag) == wanted
    open_source(str(bag))
    (other,) = set(topics) - {wanted}
    reason = " (by its name not of a camera)" if other in ("/camera/debug/image", "/a/segmentation_mask") else ""
    choice = "one of 2 usable topics (whole images of cameras come first, then the order of names)"
    line = f"the images are those of {wanted}, {choice}; not {other}{reason}; choose with topic"
    assert line in caplog.messages


@ALL_FORMATS
def test_the_topic_chooses_the_camera(tmp_path: Path, storage: str) -> None:
    right = [("/right/image", BASE + index, image_message(index + 5)) for index in range(3)]
    bag = write(tmp_path / "bag", [*images_on("/left/image"), *right], storage)
    for topic in ("/right/image", "right/image"):
        source = open_source(str(bag), topic)
        assert len(list(source)) == 3 and source.about == "the images are those of /right/image, as topic says"


def test_a_single_topic_is_named(tmp_path: Path) -> None:
    assert BagSource(write(tmp_path / "bag", [*images_on(), *infos_on()])).about == "the images are those of /image_raw"


@ALL_FORMATS
def test_an_unknown_topic_lists_those_there_are(tmp_path: Path, storage: str) -> None:
    bag = write(tmp_path / "bag", [*images_on("/right/image"), *images_on("/left/image"), *infos_on()], storage)
    there = "its image topics are /left/image, /right/image$"
    with pytest.raises(ValueError, match=rf"no image topic '/nope' in '.*': {there}"):
        BagSource(bag, "/nope")
    with pytest.raises(ValueError, match=rf"'/camera_info' in '.*' is no image topic \(.*CameraInfo\): {there}"):
        BagSource(bag, "/camera_info")


@ALL_FORMATS
def test_a_recording_without_images_lists_its_topics(tmp_path: Path, storage: str) -> None:
    bag = write(tmp_path / "bag", infos_on(), storage)
    text = r"no image topic in '.*': its topics are /camera_info \(sensor_msgs/msg/CameraInfo\)$"
    with pytest.raises(ValueError, match=text):
        BagSource(bag)


def test_a_topic_whose_first_images_are_damaged_comes_last_but_is_read(tmp_path: Path) -> None:
    damaged = [("/a/image", BASE + i, compressed_message(i, bytes(100) if i < 4 else None)) for i in range(COUNT)]
    assert len(list(BagSource(write(tmp_path / "alone", damaged)))) == COUNT - 4
    both = write(tmp_path / "both", [*damaged, *images_on("/b/image")])
    assert chosen(both) == "/b/image"
    assert "not /a/image (its first images cannot be used: a compressed image is neither" in BagSource(both).about


@pytest.mark.parametrize(
    ("kind", "encoding", "reason"),
    [
        ("sensor_msgs/msg/Image", "json", "its image topics are /video (its messages are encoded as json)"),
        ("foxglove.CompressedImage", "protobuf", "its topics are /video (foxglove.CompressedImage)"),
    ],
)
def test_foreign_encodings_cost_nothing_and_are_named(tmp_path: Path, kind: str, encoding: str, reason: str) -> None:
    for name, beside in (("alone", []), ("both", images_on("/w/image"))):
        with (tmp_path / f"{name}.mcap").open("wb") as file:
            writer = McapWriter(file)
            writer.start("", "test")
            channel = writer.register_channel("/video", encoding, writer.register_schema(kind, encoding, b"?"))
            writer.add_message(channel, BASE, b"{}", BASE)
            if beside:
                image = writer.register_schema("sensor_msgs/msg/Image", "ros2msg", b"this is no definition")
                channel = writer.register_channel("/w/image", "cdr", image)
            for _, time, message in beside:
                writer.add_message(channel, time, bytes(STORE.serialize_cdr(message, message.__msgtype__)), time)
            writer.finish()
    assert len(list(BagSource(tmp_path / "both.mcap"))) == COUNT
    with pytest.raises(ValueError, match=re.escape(reason)):
        BagSource(tmp_path / "alone.mcap")
