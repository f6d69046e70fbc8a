"""Malformed messages, over a thousand of them: each is refused and counted, and the next good image is processed."""

from __future__ import annotations

import array
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from harness import Graph, camera_info, image_message, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from silk_ros.camera import DISTORTION_MODELS
from silk_ros.image import ENCODING_ALIASES, ENCODINGS, packed_size
from silk_ros.ros.images import camera_from_message, gray_from_message
from silk_ros.ros.messages import points_from_cloud

UINT32 = st.integers(0, 2**32 - 1)
SMALL_DATA = 20_000  # bytes
# Few sizes of good images: the network is compiled for each.
SIZES = [(24, 32), (120, 160), (0, 0), (0, 32), (24, 0), (1, 1), (1, 9000), (6, 7), (2**32 - 1, 2**32 - 1), (1, 2**32 - 1)]


def cases(count: int) -> settings:
    """The same cases in every run."""
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=health)


@st.composite
def headers(draw: DrawFn) -> Header:
    header = Header(frame_id=draw(st.text(max_size=20)))
    header.stamp.sec = draw(st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1))
    header.stamp.nanosec = draw(st.sampled_from([0, 999_999_999, 10**9, 2**32 - 1]) | UINT32)
    return header


@st.composite
def images(draw: DrawFn) -> Image:
    """Fields that fit each other, and fields that do not."""
    height, width = draw(st.sampled_from(SIZES) | st.tuples(UINT32, UINT32))
    encoding = draw(
        st.sampled_from([*ENCODINGS, *ENCODING_ALIASES]) | st.sampled_from(["", "MONO8", "32FC1", "mono8 "]) | st.text()
    )
    row = packed_size(1, width, encoding)
    step = draw(st.sampled_from([row, row + 1, row + 64, max(0, row - 1), 0, width]) | UINT32) % 2**32
    fitting = min(step * height, SMALL_DATA)
    length = draw(st.sampled_from([fitting, fitting + 1, max(0, fitting - 1), 0]) | st.integers(0, 100))
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


@st.composite
def camera_infos(draw: DrawFn) -> CameraInfo:
    """Every so often of the size of `picture()`, and usable."""
    usual = camera_info()
    extremes = st.sampled_from([0.0, -1.0, 1e-300, 1e300, float("inf"), float("nan")]) | st.floats()
    k = usual.k.tolist()
    for place in draw(st.lists(st.integers(0, 8), max_size=3)):
        k[place] = draw(extremes)
    model = draw(st.sampled_from([*DISTORTION_MODELS]) | st.text(max_size=10))
    lengths = st.sampled_from([*DISTORTION_MODELS.get(model, ()), 0, 3, 100])
    return CameraInfo(
        header=draw(headers()),
        height=draw(st.just(usual.height) | UINT32),
        width=draw(st.just(usual.width) | UINT32),
        distortion_model=model,
        d=[draw(st.floats(-1, 1) | extremes) for _ in range(draw(lengths))],
        k=k,
    )


@st.composite
def clouds(draw: DrawFn) -> PointCloud2:
    fields = [
        PointField(
            name=draw(st.sampled_from("xyzuv") | st.text(max_size=5)),
            offset=draw(st.integers(0, 40) | UINT32),
            datatype=draw(st.integers(1, 8) | st.integers(0, 255)),
            count=draw(st.integers(0, 4) | UINT32),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    width, height = draw(st.integers(0, 5) | UINT32), draw(st.integers(0, 2) | UINT32)
    point_step = draw(st.integers(0, 50) | UINT32)
    fitting = min(width * height * point_step, SMALL_DATA)
    return PointCloud2(
        height=height,
        width=width,
        fields=fields,
        is_bigendian=draw(st.booleans()),
        point_step=point_step,
        row_step=draw(UINT32),
        data=array.array("B", bytes(draw(st.sampled_from([fitting, fitting + 1, 0]) | st.integers(0, 100)))),
    )


@pytest.fixture
def survivor(graph: Graph) -> Iterator[Graph]:
    """A node that must process a good image, over DDS, whatever it went through."""
    yield graph
    features, _ = graph.send(image_message(picture()))
    assert features.width == 200
    graph.wait_for_node()
    assert graph.count("failed_frames") == 0


def either(of: SearchStrategy, function: Callable) -> None: ...


@given(message=images())
@cases(500)
def test_image_becomes_grey_or_is_refused(message: Image) -> None:
    try:
        gray = gray_from_message(message)
    except ValueError:
        return
    assert gray.dtype == np.uint8 and gray.shape == (message.height, message.width)


@given(message=images())
@cases(300)
def test_image_is_processed_or_counted_as_rejected(survivor: Graph, message: Image) -> None:
    change = survivor.deliver(message, "/image_raw")
    assert change["received_frames"] == 1
    assert change["processed_frames"] + change["rejected_images"] == 1, survivor.node._statistics.snapshot()


@given(message=camera_infos())
@cases(200)
def test_camera_info_gives_rays_or_none_and_never_costs_an_image(survivor: Graph, message: CameraInfo) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        survivor.deliver(message, "/camera_info")
        change = survivor.deliver(image_message(picture()), "/image_raw")
    assert change["processed_frames"] == 1, survivor.node._statistics.snapshot()


@given(message=clouds())
@cases(300)
def test_cloud_is_read_or_refused(message: PointCloud2) -> None:
    try:
        points = points_from_cloud(message)
    except ValueError:
        return
    assert points.shape == (message.width * message.height,)
    assert points.tobytes() == message.data.tobytes()
