from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from recorded import (
    BASE,
    COUNT,
    FOCAL,
    FORMATS,
    HEIGHT,
    STEP,
    STORE,
    WIDTH,
    Message,
    compressed_message,
    image_message,
    images_on,
    indexes,
    info_message,
    infos_on,
    picture,
    read,
    write,
    write_mcap,
    write_ros1,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from silk_ros.images.bag import BagSource
from silk_ros.images.source import DEFAULT_RATE, SourceImage
from silk_ros.images.sources import open_source

ALL_FORMATS = pytest.mark.parametrize("storage", FORMATS)
INFO = "/camera_info"


def focal_lengths(images: list[SourceImage]) -> list[float | None]:
    return [image.camera and float(image.camera.matrix[0, 0]) for image in images]


# Images.


@ALL_FORMATS
@pytest.mark.parametrize("message", [image_message, compressed_message])
def test_a_recording_gives_its_images_in_order(tmp_path: Path, storage: str, message: object) -> None:
    messages = [("/camera/image_raw", BASE + index * STEP, message(index)) for index in range(COUNT)]  # type: ignore
    source = open_source(str(write(tmp_path / "bag", messages, storage)))
    assert source.rate == pytest.approx(10)
    for _ in range(2):  # as often as wanted
        images = list(source)
        assert [(image.encoding, image.height, image.width) for image in images] == [("mono8", HEIGHT, WIDTH)] * COUNT
        pixels = [np.asarray(image.data).reshape(HEIGHT, WIDTH) for image in images]
        np.testing.assert_array_equal(pixels, [picture(index) for index in range(COUNT)])
        assert [image.stamp for image in images] == [BASE + index * STEP for index in range(COUNT)]
        assert {image.frame_id for image in images} == {"camera"}


def test_a_source_is_read_twice_at_once(tmp_path: Path) -> None:
    source = BagSource(write(tmp_path / "bag", images_on(), "ros1"))
    assert [indexes(pair) for pair in zip(source, source)] == [[index, index] for index in range(COUNT)]


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
def test_a_topic_is_all_of_its_publishers(tmp_path: Path, kind: str) -> None:
    """A driver that was restarted, and several drivers of one topic, each have a connection or channel of their own."""
    messages = sorted([*images_on(), *infos_on(delay=1)], key=lambda message: message[1])
    if kind == "ros1":
        path = write_ros1(tmp_path / "a.bag", messages, connections=3)
    else:
        path = write_mcap(tmp_path / "a.mcap", messages, channels=3)
    images = list(BagSource(path))
    assert indexes(images) == list(range(COUNT)) and focal_lengths(images) == [FOCAL] * COUNT


@ALL_FORMATS
def test_messages_are_in_the_order_of_their_reception(tmp_path: Path, storage: str) -> None:
    assert read(write(tmp_path / "bag", reversed(images_on()), storage)) == list(range(COUNT))


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_messages_that_were_compressed_one_by_one_are_read(tmp_path: Path, storage: str) -> None:
    options = {"fmt": CompressionFormat.ZSTD, "mode": CompressionMode.MESSAGE}
    bag = write(tmp_path / "bag", images_on(), storage, **options)
    (bag / "metadata.yaml").unlink()
    assert read(bag) == list(range(COUNT))


# Stamps.


@ALL_FORMATS
def test_zero_stamps_are_replaced_by_the_times_of_reception(
    tmp_path: Path, storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [("/image_raw", BASE + index * STEP, image_message(index, 0)) for index in range(COUNT)]
    source = BagSource(write(tmp_path / "bag", messages, storage))
    assert [image.stamp for image in source] == [BASE + index * STEP for index in range(COUNT)]
    assert source.rate == pytest.approx(10)
    assert [record.levelname for record in caplog.records if "zero stamps" in record.message] == ["WARNING"]


def test_one_zero_stamp_is_replaced_alone(tmp_path: Path) -> None:
    messages = images_on()
    messages[3] = ("/image_raw", messages[3][1] + 5, image_message(3, 0))
    stamps = [image.stamp for image in BagSource(write(tmp_path / "bag", messages))]
    assert stamps == [BASE + index * STEP + 5 * (index == 3) for index in range(COUNT)]


@pytest.mark.parametrize("zeros", [[3], [5, 6], [0]])
def test_a_zero_stamp_among_others_is_replaced_on_their_clock(tmp_path: Path, zeros: list[int]) -> None:
    """The clock of the camera is ten years behind that of the recorder."""
    behind = 10 * 365 * 86400 * 10**9
    stamps = [BASE + index * STEP - behind for index in range(COUNT)]
    messages = [
        ("/image_raw", BASE + index * STEP + 20, image_message(index, 0 if index in zeros else stamp))
        for index, stamp in enumerate(stamps)
    ]
    source = BagSource(write(tmp_path / "bag", messages))
    assert [image.stamp for image in source] == stamps and source.rate == pytest.approx(10)


def test_a_clock_that_starts_at_zero_is_one_clock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    messages = [("/image_raw", BASE + index * STEP, image_message(index, index * STEP)) for index in range(COUNT)]
    source = BagSource(write(tmp_path / "bag", messages))
    assert [image.stamp for image in source] == [index * STEP for index in range(COUNT)]
    assert source.rate == pytest.approx(10) and not caplog.messages


def test_stamps_that_begin_late_do_not_make_a_second_clock(tmp_path: Path) -> None:
    times = [BASE + index * STEP for index in range(110)]
    messages = [
        ("/image_raw", time, image_message(0, (time - 10**15) * (index > 104))) for index, time in enumerate(times)
    ]
    assert [image.stamp for image in BagSource(write(tmp_path / "bag", messages))] == times


@pytest.mark.parametrize(
    ("storage", "seconds", "nanoseconds"),
    [("mcap", -5, 0), ("sqlite3", -1, 999_999_999), ("mcap", 5, 10**9), ("ros1", 5, 2**32 - 1)],
)
@pytest.mark.parametrize("message", [image_message, compressed_message])
def test_an_image_with_an_invalid_stamp_is_left_out(
    tmp_path: Path, storage: str, seconds: int, nanoseconds: int, message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    messages = [("/image_raw", BASE + index * STEP, message(index)) for index in range(COUNT)]
    messages[4][2].header.stamp.sec, messages[4][2].header.stamp.nanosec = seconds, nanoseconds
    assert read(write(tmp_path / "bag", messages, storage)) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert "message 5 of /image_raw: left out: stamp with" in caplog.text
    assert "set header.stamp in the driver" in caplog.text


# The rate.


@ALL_FORMATS
def test_the_rate_is_the_median_of_the_differences_between_stamps(tmp_path: Path, storage: str) -> None:
    """The camera starts late in the recording, pauses, and has one stamp of 1970."""
    info = [(INFO, BASE - 600 * 10**9, info_message(0))]
    times = [BASE + index * STEP + 30 * 10**9 * (index > 5) for index in range(COUNT)]
    images = [("/image_raw", time, image_message(index, time)) for index, time in enumerate(times)]
    images[2] = ("/image_raw", times[2], image_message(2, 141 * 10**6))
    assert BagSource(write(tmp_path / "bag", info + images, storage)).rate == pytest.approx(10)


@pytest.mark.parametrize(("count", "rate"), [(COUNT, 10.0), (2, 10.0), (1, DEFAULT_RATE)])
@pytest.mark.parametrize("stamp", [None, 0, 7])
def test_the_rate_of_images_without_stamps_is_that_of_their_reception(
    tmp_path: Path, count: int, rate: float, stamp: int | None
) -> None:
    messages = [("/image_raw", BASE + index * STEP, image_message(index, stamp)) for index in range(count)]
    assert BagSource(write(tmp_path / "bag", messages)).rate == pytest.approx(rate)


def test_stamps_count_for_the_rate_where_reception_was_in_bursts(tmp_path: Path) -> None:
    messages = [("/image_raw", BASE + index // 5, image_message(index)) for index in range(COUNT)]
    assert BagSource(write(tmp_path / "bag", messages)).rate == pytest.approx(10)


# Calibrations.


@ALL_FORMATS
@pytest.mark.parametrize("delay", [-1, 0, 1, STEP // 2])
def test_a_camera_info_belongs_to_the_image_with_its_stamp(tmp_path: Path, storage: str, delay: int) -> None:
    """Drivers publish it before the image or just after it; here its focal length changes with each."""
    infos = [
        (INFO, BASE + index * STEP + delay, info_message(BASE + index * STEP, FOCAL + index)) for index in range(COUNT)
    ]
    messages = sorted([*images_on(), *infos], key=lambda message: message[1])
    images = list(BagSource(write(tmp_path / "bag", messages, storage)))
    assert focal_lengths(images) == [FOCAL + index for index in range(COUNT)]


@pytest.mark.parametrize("late", [1, 2, 3])
def test_a_camera_info_may_lie_behind_later_images(tmp_path: Path, late: int) -> None:
    infos = [
        (INFO, BASE + (index + late) * STEP + 1, info_message(BASE + index * STEP, FOCAL + index))
        for index in range(COUNT)
    ]
    messages = sorted([*images_on(), *infos], key=lambda message: message[1])
    images = list(BagSource(write(tmp_path / "bag", messages)))
    assert focal_lengths(images) == [FOCAL + index for index in range(COUNT)]
    assert indexes(images) == list(range(COUNT))


def pairs(stamped: bool, info_frames: Sequence[str] = ("left", "right")) -> list[Message]:
    """Images of two cameras on one topic with equal stamps, and their camera_infos."""
    messages: list[Message] = []
    for index in range(COUNT):
        time = BASE + index * STEP
        for delay, (frame_id, focal) in enumerate(zip(info_frames, (50.0, 90.0))):
            messages.append((INFO, time + delay, info_message(time if stamped else 0, focal, frame_id=frame_id)))
        for delay, frame_id in enumerate(("left", "right"), start=5):
            messages.append(("/image_raw", time + delay, image_message(index, time, frame_id=frame_id)))
    return messages


@ALL_FORMATS
@pytest.mark.parametrize("stamped", [True, False])
def test_cameras_on_one_topic_have_the_camera_infos_of_their_frame_id(
    tmp_path: Path, storage: str, stamped: bool
) -> None:
    images = list(BagSource(write(tmp_path / "bag", pairs(stamped), storage)))
    assert [image.frame_id for image in images] == ["left", "right"] * COUNT
    assert focal_lengths(images) == [50, 90] * COUNT
    assert len({id(image.camera) for image in images}) == 2


def test_a_camera_without_a_camera_info_of_its_frame_id_has_none(tmp_path: Path) -> None:
    images = list(BagSource(write(tmp_path / "bag", pairs(True, ["left"]))))
    assert focal_lengths(images) == [50, None] * COUNT
    text = "camera_info on /camera_info is of 'left', but the images are of 'right': give images and camera_info of"
    assert text in images[1].camera_problem and not images[0].camera_problem


def test_a_single_camera_may_have_two_names(tmp_path: Path) -> None:
    images = list(BagSource(write(tmp_path / "bag", [*infos_on(frame_id="camera_link"), *images_on()])))
    assert focal_lengths(images) == [FOCAL] * COUNT


@pytest.mark.parametrize("counted", ["images", "both"])
def test_a_frame_id_that_counts_is_one_camera(tmp_path: Path, counted: str) -> None:
    messages: list[Message] = []
    for index in range(130):
        time, name = BASE + index * STEP, f"frame{index}"
        info_frame = name if counted == "both" else "camera"
        messages.append((INFO, time, info_message(time, FOCAL + index, frame_id=info_frame)))
        messages.append(("/image_raw", time + 1, image_message(0, time, frame_id=name)))
    images = list(BagSource(write(tmp_path / "bag", messages)))
    assert focal_lengths(images) == [FOCAL + index for index in range(130)]


def test_a_driver_that_was_started_again_with_other_names_is_one_camera(tmp_path: Path) -> None:
    """The images keep their name, that of the camera_infos changes."""
    messages: list[Message] = []
    for index in range(40):
        time = BASE + index * 10**9
        info_frame, focal = ("old", 50.0) if index < 20 else ("new", 90.0)
        messages.append((INFO, time, info_message(time, focal, frame_id=info_frame)))
        messages.append(("/image_raw", time + 1, image_message(0, time)))
    lengths = focal_lengths(list(BagSource(write(tmp_path / "bag", messages))))
    assert lengths[:15] == [50] * 15 and lengths[32:] == [90] * 8


@pytest.mark.parametrize("stamped", [True, False])
def test_images_before_the_first_usable_camera_info_have_that_one(
    tmp_path: Path, stamped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    times = [BASE + index * STEP for index in range(COUNT)]
    infos = [
        (INFO, time - 1, info_message(time if stamped else 0, 0.0 if index in (0, 1, 2, 6) else FOCAL + index))
        for index, time in enumerate(times)
    ]
    images = list(BagSource(write(tmp_path / "bag", [*infos, *images_on()])))
    assert focal_lengths(images) == [FOCAL + index if index != 6 else None for index in (3, 3, 3, 3, 4, 5, 6, 7, 8, 9)]
    assert "message 1 of /camera_info: the first usable one replaces it: camera_info.k has no focal" in caplog.text


def test_an_invalid_stamp_of_a_camera_info_is_not_needed(tmp_path: Path) -> None:
    infos = infos_on()
    for _, _, info in infos:
        info.header.stamp.nanosec = 2 * 10**9
    assert focal_lengths(list(BagSource(write(tmp_path / "bag", [*infos, *images_on()])))) == [FOCAL] * COUNT


def test_other_images_have_the_newest_camera_info_before_them(tmp_path: Path) -> None:
    """Those before the first one have that one, however much later it is."""
    infos = [(INFO, BASE + index * STEP + 5, info_message(77, FOCAL + index)) for index in (4, 7)]
    images = list(BagSource(write(tmp_path / "bag", [*images_on(), *infos])))
    assert focal_lengths(images) == [FOCAL + 4] * 8 + [FOCAL + 7] * 2


def test_a_camera_info_without_stamps_is_not_taken_from_the_next_image(tmp_path: Path) -> None:
    messages = []
    for index in range(4):
        messages.append((INFO, BASE + index * STEP, info_message(0, FOCAL + index)))
        messages.append(("/image_raw", BASE + index * STEP + 5, image_message(index, 0)))
    images = list(BagSource(write(tmp_path / "bag", messages)))
    assert focal_lengths(images) == [FOCAL + index for index in range(4)]


@pytest.mark.parametrize("topic", ["/camera/image_raw", "/camera/image_raw/compressed", "/camera/image"])
def test_the_camera_info_lies_beside_the_images(tmp_path: Path, topic: str) -> None:
    bag = write(tmp_path / "bag", [*images_on(topic), *infos_on("/camera/camera_info")])
    assert focal_lengths(list(BagSource(bag))) == [FOCAL] * COUNT


def test_a_recording_of_ros_1_keeps_all_of_the_calibration(tmp_path: Path) -> None:
    image = next(iter(BagSource(write(tmp_path / "bag", [*infos_on(), *images_on()], "ros1"))))
    assert image.camera is not None
    assert (image.camera.width, image.camera.height, image.camera.model) == (WIDTH, HEIGHT, "plumb_bob")
    assert image.camera.distortion.tolist() == [0.01] * 5
    assert image.camera.projection[0].tolist() == [2 * FOCAL, 0, 15.5, -5]


@pytest.mark.parametrize(
    ("topic", "rectified", "focal"),
    [
        ("/camera/image_rect", "auto", 2 * FOCAL),
        ("/camera/image_rect_color/compressed", "auto", 2 * FOCAL),
        ("/camera/image_rect", "false", FOCAL),
        ("/camera/image_raw", "auto", FOCAL),
        ("/camera/image_raw", "true", 2 * FOCAL),
    ],
)
def test_rectified_images_have_the_projection(
    tmp_path: Path, topic: str, rectified: str, focal: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bag = write(tmp_path / "bag", [*infos_on("/camera/camera_info"), *images_on(topic)])
    assert focal_lengths(list(BagSource(bag, rectified=rectified))) == [focal] * COUNT
    said = [record for record in caplog.records if "set rectified to false" in record.message]
    assert bool(said) == (rectified == "auto" and focal == 2 * FOCAL)
    doubts = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    against = rectified == "false" and "image_rect" in topic
    assert doubts == [f"{topic} is a name of rectified images: set rectified to auto or true if they are"] * against


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"width": 2 * WIDTH}, "camera_info is for 64x24 images, but they are 32x24: publish the intrinsics"),
        ({"focal": 0.0}, "the camera is not calibrated"),
        ({"d": np.ones(3)}, r"camera_info.d must hold"),
    ],
)
def test_a_camera_info_that_does_not_fit_is_a_problem(tmp_path: Path, values: dict, problem: str) -> None:
    for image in BagSource(write(tmp_path / "bag", [*infos_on(**values), *images_on()])):
        assert image.camera is None
        with pytest.raises(ValueError, match=problem):
            raise ValueError(image.camera_problem)


@pytest.mark.parametrize(
    ("others", "text"),
    [([], "no camera_info was recorded"), (infos_on("/left/camera_info"), "there is /left/camera_info")],
)
def test_images_without_a_camera_info_are_named(
    tmp_path: Path, others: list, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    images = list(BagSource(write(tmp_path / "bag", [*images_on("/right/image_raw"), *others])))
    assert {(image.camera, image.camera_problem) for image in images} == {(None, "")}
    assert f"have no calibration, which is sought on /right/camera_info: {text}" in caplog.text


# Damage.


@pytest.mark.parametrize("storage", FORMATS)
@pytest.mark.parametrize("damage", ["not an image", "cut JPEG", "no data", "wrong step"])
def test_a_damaged_message_is_left_out_and_counted(
    tmp_path: Path, storage: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    jpeg = cv2.imencode(".jpg", picture(4))[1].tobytes()
    topic, messages = "/camera/image_raw", images_on("/camera/image_raw")
    if damage == "wrong step":
        messages[4][2].step = WIDTH + 1
    else:
        messages = [(topic, BASE + index * STEP, compressed_message(index)) for index in range(COUNT)]
        data = {"not an image": bytes(500), "cut JPEG": jpeg[: len(jpeg) // 2], "no data": b""}[damage]
        messages[4] = (topic, messages[4][1], compressed_message(4, data, "jpeg"))
    source = BagSource(write(tmp_path / "bag", messages, storage))
    for _ in range(2):
        assert indexes(source) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert f"message 5 of {topic}: left out: " in warnings[0]
    assert warnings[1].endswith("9 images were read, 1 was left out")


@pytest.mark.parametrize("size", [0, 3, 60, 700])
def test_a_message_that_was_cut_is_left_out(tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/image_raw", "sensor_msgs/msg/Image", typestore=STORE)
        for index in range(COUNT):
            data = bytes(STORE.serialize_cdr(image_message(index), connection.msgtype))
            writer.write(connection, BASE + index * STEP, data[:size] if index == 0 else data)
    assert read(tmp_path / "bag") == list(range(1, COUNT))
    assert "message 1 of /image_raw: left out: the data of the message are damaged: check the disk" in caplog.text


def test_images_that_are_all_damaged_are_explained(tmp_path: Path) -> None:
    messages = [("/image_raw", BASE + index, compressed_message(index, bytes(100))) for index in range(COUNT)]
    source = BagSource(write(tmp_path / "bag", messages))
    with pytest.raises(ValueError, match=r"no image of .* message 1 of /image_raw: a compressed image is neither JPEG"):
        list(source)


def test_a_lost_camera_info_is_no_lost_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for index, (topic, time, message) in enumerate([*infos_on(), *images_on()]):
            kind = message.__msgtype__
            if index in (0, COUNT):
                connection = writer.add_connection(topic, kind, typestore=STORE)
            data = bytes(STORE.serialize_cdr(message, kind))
            writer.write(connection, time, data[:20] if index in (0, 5) else data)
    images = list(BagSource(tmp_path / "bag"))
    assert focal_lengths(images) == [FOCAL] * COUNT
    assert [record.message for record in caplog.records if "camera_info: left out" in record.message]
    assert "were left out" not in caplog.text


def test_the_libraries_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "silk_ros.images.storage.recording", None)
    with pytest.raises(
        ImportError,
        match=r"\(.*recording.*\): pip install 'silk_ros\[recordings\]', or pip install rosbags mcap zstandard",
    ):
        BagSource(tmp_path)
