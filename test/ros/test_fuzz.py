"""Malformed messages, over a thousand of them: each is refused and counted, and the next good image is processed."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from harness import Graph, camera_info, image_message, picture
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import Header

from silk_ros.geometry.camera import camera_from_message
from silk_ros.geometry.dialects import DISTORTION_MODELS
from silk_ros.images.gray import ENCODING_ALIASES, ENCODINGS, packed_size
from silk_ros.ros.front_end.images import gray_from_message, mask_from_message
from silk_ros.ros.messages import points_from_cloud

UINT32 = st.integers(0, 2**32 - 1)
SMALL_DATA = 20_000  # bytes
GOOD = picture(32, 24)  # one size of good images: the network is compiled for each
SIZES = [GOOD.shape, (0, 0), (0, 32), (24, 0), (1, 1), (1, 9000), (6, 7), (2**32 - 1, 2**32 - 1), (1, 2**32 - 1)]
KNOWN = [*ENCODINGS, *ENCODING_ALIASES]
LONG_TEXT = "mono8\n" * 10_000


def cases(count: int) -> settings:
    """The same cases in every run."""
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, derandomize=True, suppress_health_check=health)


@st.composite
def headers(draw: DrawFn) -> Header:
    sec = draw(st.sampled_from([0, -1, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1))
    nanosec = draw(st.sampled_from([0, 999_999_999, 10**9, 2**32 - 1]) | UINT32)
    return Header(frame_id=draw(st.text(max_size=20)), stamp=Time(sec=sec, nanosec=nanosec))


@st.composite
def images(draw: DrawFn) -> Image:
    """Half of them good but for the header, half with fields that may contradict each other."""
    good = draw(st.booleans())
    if good:
        height, width = GOOD.shape
        encoding = draw(st.sampled_from(KNOWN))
    else:
        height, width = draw(st.sampled_from(SIZES) | st.tuples(UINT32, UINT32))
        encoding = draw(st.sampled_from([*KNOWN, "", "MONO8", "32FC1", "mono8 ", LONG_TEXT]) | st.text())
    row = packed_size(1, width, encoding)
    steps = st.sampled_from([row, row + 1, row + 64])
    step = draw(steps if good else steps | st.sampled_from([max(0, row - 1), 0, width]) | UINT32) % 2**32
    length = min(step * height, SMALL_DATA)
    if not good:
        length = draw(st.sampled_from([length, length + 1, max(0, length - 1), 0]) | st.integers(0, 100))
    content = draw(st.binary(min_size=1, max_size=8))
    return Image(
        header=draw(headers()),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=draw(st.sampled_from([0, 1, 255])),
        step=step,
        data=array.array("B", (content * (length // len(content) + 1))[:length]),
    )


def good_info(**changes: object) -> CameraInfo:
    info = camera_info(*reversed(GOOD.shape))
    for name, value in changes.items():
        setattr(info, name, value)
    return info


@st.composite
def camera_infos(draw: DrawFn) -> CameraInfo:
    """Most of the good image's size; up to three numbers of k, r and p are strange."""
    usual = good_info()
    strange = st.sampled_from([0.0, -1.0, 1e-320, 1e300, float("inf"), float("nan")]) | st.floats()
    matrices = {name: getattr(usual, name).tolist() for name in ("k", "r", "p")}
    for name in draw(st.sampled_from([(), ("k",), ("r",), ("p",), ("k", "r", "p")])):
        for place in draw(st.lists(st.integers(0, len(matrices[name]) - 1), max_size=3)):
            matrices[name][place] = draw(strange)
    offset = st.sampled_from([0, 0, 8]) | UINT32
    roi = RegionOfInterest(
        x_offset=draw(offset),
        y_offset=draw(offset),
        height=draw(offset),
        width=draw(offset),
        do_rectify=draw(st.booleans()),
    )
    model = draw(st.sampled_from([*DISTORTION_MODELS]) | st.sampled_from([LONG_TEXT]) | st.text(max_size=10))
    length = draw(st.sampled_from([*DISTORTION_MODELS.get(model, ()), 0, 3, 100]))
    return good_info(
        header=draw(headers()),
        height=draw(st.just(usual.height) | UINT32),
        width=draw(st.just(usual.width) | UINT32),
        distortion_model=model,
        d=draw(st.lists(st.floats(-1, 1) | strange, min_size=length, max_size=length)),
        roi=draw(st.just(RegionOfInterest()) | st.just(roi)),
        binning_x=draw(st.sampled_from([0, 0, 1, 2]) | UINT32),
        binning_y=draw(st.sampled_from([0, 0, 1, 2]) | UINT32),
        **matrices,
    )


@st.composite
def compressed_images(draw: DrawFn) -> CompressedImage:
    """Files of the good image, some with bytes overwritten, cut off or appended, and what is no file at all."""
    content = bytearray(cv2.imencode(draw(st.sampled_from([".jpg", ".png"])), GOOD)[1])
    for _ in range(draw(st.integers(0, 3))):
        start, patch = draw(st.integers(0, 700)), draw(st.binary(max_size=8))
        content[start : start + len(patch)] = patch
    content = content[: draw(st.sampled_from([len(content)] * 3) | st.integers(0, 700))]
    text = draw(
        st.sampled_from(["jpeg", "png", "mono8; jpeg compressed mono8", "", "rvl", LONG_TEXT]) | st.text(max_size=9)
    )
    data = draw(st.just(bytes(content)) | st.just(bytes(content)) | st.binary(max_size=100))
    return CompressedImage(header=draw(headers()), format=text, data=array.array("B", data))


@st.composite
def clouds(draw: DrawFn) -> PointCloud2:
    fields = st.builds(
        PointField,
        name=st.sampled_from("xyzuv") | st.text(max_size=5),
        offset=st.integers(0, 40) | UINT32,
        datatype=st.integers(1, 8) | st.integers(0, 255),
        count=st.integers(0, 4) | UINT32,
    )
    width, height = draw(st.integers(0, 5) | UINT32), draw(st.integers(0, 2) | UINT32)
    point_step = draw(st.integers(0, 50) | UINT32)
    fitting = min(width * height * point_step, SMALL_DATA)
    length = draw(st.sampled_from([fitting, fitting, fitting + 1, 0]) | st.integers(0, 100))
    return PointCloud2(
        height=height,
        width=width,
        fields=draw(st.lists(fields, max_size=4)),
        is_bigendian=draw(st.sampled_from([False, False, True])),
        point_step=point_step,
        row_step=draw(UINT32),
        data=array.array("B", bytes(length)),
    )


@pytest.fixture
def survivor(graph: Graph) -> Iterator[Graph]:
    """A node that must process a good image, over DDS, whatever it went through."""
    yield graph
    graph.drain()
    graph.deliver(image_message(np.full_like(picture(), 255)), "/mask")
    features, _ = graph.send(image_message(picture()))
    assert features.width == 200
    graph.wait_for_node()
    assert graph.count("failed_frames") == 0


@given(message=images())
@cases(400)
def test_image_becomes_grey_or_is_refused(message: Image) -> None:
    try:
        gray = gray_from_message(message)
    except ValueError:
        return
    assert gray.dtype == np.uint8 and gray.shape == (message.height, message.width)


@given(message=images())
@example(image_message(GOOD, header=Header(stamp=Time(sec=2**31 - 1, nanosec=2**32 - 1))))
@cases(300)
def test_image_is_processed_or_counted_as_rejected(survivor: Graph, message: Image) -> None:
    for _ in range(2):  # the second is matched with the first
        change = survivor.deliver(message, "/image_raw")
        assert change["received_frames"] == 1
        assert change["processed_frames"] + change["rejected_images"] == 1


@pytest.fixture
def compressed_survivor(make_graph: Callable[..., Graph]) -> Iterator[Graph]:
    """A node that must process a good compressed image whatever it went through."""
    graph = make_graph(image_transport="compressed")
    yield graph
    good = CompressedImage(format="png", data=array.array("B", bytes(cv2.imencode(".png", GOOD)[1])))
    assert graph.deliver(good, "/image_raw/compressed")["processed_frames"] == 1


@given(message=compressed_images())
@cases(300)
def test_compressed_image_is_processed_or_counted_as_rejected(
    compressed_survivor: Graph, message: CompressedImage
) -> None:
    change = compressed_survivor.deliver(message, "/image_raw/compressed")
    assert change["received_frames"] == 1
    assert change["processed_frames"] + change["rejected_images"] == 1


@given(message=images())
@example(image_message(np.zeros_like(GOOD)))
@cases(200)
def test_mask_is_used_or_counted_as_rejected_and_costs_no_image(survivor: Graph, message: Image) -> None:
    try:
        usable = mask_from_message(message).shape == GOOD.shape
    except ValueError:
        assert survivor.deliver(message, "/mask")["rejected_masks"] == 1
        return
    assert survivor.deliver(message, "/mask")["rejected_masks"] == 0
    change = survivor.deliver(image_message(GOOD), "/image_raw")
    assert change["processed_frames"] == 1 and change["frames_without_mask"] == (not usable)


@given(message=camera_infos())
@example(good_info(k=[100.0, 100.0, 16.0, 100.0, 100.0, 12.0, 0.0, 0.0, 1.0]))
@cases(200)
def test_camera_info_is_used_or_counted_as_rejected_and_costs_no_image(survivor: Graph, message: CameraInfo) -> None:
    try:
        usable = camera_from_message(message)
    except ValueError:
        usable = None
    refused = survivor.deliver(message, "/camera_info")["rejected_camera_info"]
    change = survivor.deliver(image_message(GOOD), "/image_raw")
    assert change["processed_frames"] == 1
    assert refused == 0 if usable else change["frames_without_rays"] == 1


@pytest.mark.parametrize(
    "message, topic",
    [(image_message(GOOD, encoding=LONG_TEXT), "/image_raw"), (good_info(distortion_model=LONG_TEXT), "/camera_info")],
)
def test_operator_is_told_in_one_line(graph: Graph, message: Image | CameraInfo, topic: str) -> None:
    graph.deliver(message, topic)
    graph.spin_until(lambda: graph.diagnostics.get("last_error"))
    assert len(graph.diagnostics["last_error"]) < 500 and "\n" not in graph.diagnostics["last_error"]


@given(is_image=st.booleans(), start=st.integers(0, 300), content=st.binary(max_size=8), cut=st.integers(0, 300))
@cases(60)
def test_serialised_message_is_overwritten_and_cut(
    survivor: Graph, is_image: bool, start: int, content: bytes, cut: int
) -> None:
    publisher, message = (survivor.images, image_message(GOOD)) if is_image else (survivor.infos, good_info())
    raw = bytearray(serialize_message(message))
    raw[start : start + len(content)] = content
    publisher.publish(bytes(raw[: len(raw) - cut]))
    survivor.executor.spin_once(timeout_sec=0.02)


@given(message=clouds())
@cases(400)
def test_cloud_is_read_or_refused(message: PointCloud2) -> None:
    try:
        points = points_from_cloud(message)
    except ValueError:
        return
    assert points.shape == (message.width * message.height,)
    assert points.tobytes() == message.data.tobytes()
