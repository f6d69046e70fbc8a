"""A bag of a sequence holds what the node publishes for the same images over DDS, byte by byte."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from harness import Graph, picture
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, Image, PointCloud, PointCloud2
from std_msgs.msg import Header

from silk_ros.commands.run_sequence import main
from silk_ros.images.sequence import SequenceFrame, read_frames
from silk_ros.images.sources import open_source
from silk_ros.parameters.given import read_parameter_file
from silk_ros.ros.camera_messages import camera_info_message, raw_message
from silk_ros.ros.messages import points_from_cloud
from silk_ros.ros.recording.recorder import Recorder

COUNT, SIZE, DISPARITY = 4, (160, 120), 6
RELIABLE = QoSProfile(depth=5)
TYPES = {"features": PointCloud2, "matches": PointCloud2, "tracks": PointCloud}
STEREO_TYPES = {**TYPES, "stereo_matches": PointCloud2, "right/features": PointCloud2}
# Other values than the defaults for all that changes what is published.
PARAMETERS = """
/**:
  ros__parameters:
    backend: onnxruntime
    precision: fp32
    threads: 1
    max_keypoints: 400
    max_published: 300
    scale: 1.0
    descriptor_format: binary256
    matcher: {ratio: 0.98}
    selection: {border: 2.0, nms_radius: 1.0, cell_size: 16.0, max_per_cell: 4}
    verification: {method: essential, outliers: flag}
    tracks: {bridge: true, min_age: 1, max_count: 100, camera_id: 0}
    stereo: {row_tolerance: 1.5, max_disparity: 40.0}
    roi: {x: 4, y: 2, width: 150}
    diagnostics_period: 0.2
"""

Messages = dict[str, list[Any]]  # by the names of their topics


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder of stereo pairs with their calibration, views that move over a photograph."""
    folder = tmp_path / "pairs"
    for side, start in (("image_0", 0), ("image_1", DISPARITY)):
        (folder / side).mkdir(parents=True)
        for index in range(COUNT):
            cv2.imwrite(str(folder / side / f"{index:06}.png"), picture(*SIZE, shift=3 * index + start))
    matrix = "100 0 79.5 {} 0 100 59.5 0 0 0 1 0"
    (folder / "calib.txt").write_text(f"P0: {matrix.format(0)}\nP1: {matrix.format(-20)}\n")
    return folder


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    """A parameter file with a mask."""
    mask = np.full(SIZE[::-1], 255, np.uint8)
    mask[:, 40:60] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    path = tmp_path / "parameters.yaml"
    path.write_text(f"{PARAMETERS}    mask_file: {tmp_path / 'mask.png'}\n")
    return path


def bag_of(source: Path, bag: Path, *arguments: str) -> Messages:
    """The messages in the bag of a source."""
    assert main([str(source), "--output", str(bag), "--format", "bag", *arguments]) == 0
    messages: Messages = defaultdict(list)
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            name = connection.topic.removeprefix("/silk/")
            messages[name].append(deserialize_message(raw, STEREO_TYPES[name]))
    return dict(messages)


def views(frame: SequenceFrame, right_delay: int = 0) -> list[tuple[Image, CameraInfo]]:
    """The messages of a camera for a frame, or of both cameras of a pair, the right one with a later stamp."""
    images = [image for image in (frame.image, frame.image.right) if image is not None]
    found = []
    for image, frame_id, delay in zip(images, frame.frame_ids, (0, right_delay)):
        assert image.camera is not None
        seconds, nanoseconds = divmod(frame.stamp + delay, 10**9)
        header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
        found.append((raw_message(header, image), camera_info_message(header, image.camera)))
    return found


def published(graph: Graph, source: Path, types: dict[str, type], right_delay: int = 0) -> Messages:
    """What the node publishes for the images of a source, which it gets one after the other over DDS."""
    peer, received = graph.peer, {name: list[Any]() for name in types}
    for name, kind in types.items():
        peer.create_subscription(kind, f"silk/{name}", received[name].append, 50)
    frames = list(read_frames(open_source(str(source))))
    sides = ["left/", "right/"] if len(frames[0].frame_ids) > 1 else [""]
    images = [peer.create_publisher(Image, f"{side}image_raw", RELIABLE) for side in sides]
    for side, (_, info) in zip(sides, views(frames[0])):
        graph.deliver(info, f"/{side}camera_info")
    outputs = [publisher for publisher in graph.node.publishers if publisher.topic_name.removeprefix("/silk/") in types]
    graph.spin_until(lambda: all(publisher.get_subscription_count() for publisher in [*outputs, *images]))
    for number, frame in enumerate(frames, start=1):
        for publisher, (image, _) in zip(images, views(frame, right_delay)):
            publisher.publish(image)
        graph.spin_until(lambda count=number: all(len(messages) == count for messages in received.values()))
    return received


def test_the_bag_of_one_camera_is_what_the_node_publishes(
    make_graph: Callable[..., Graph], pairs: Path, parameters: Path, tmp_path: Path
) -> None:
    graph = make_graph(**read_parameter_file(parameters), image_reliability="reliable")
    expected = published(graph, pairs / "image_0", TYPES)
    assert bag_of(pairs / "image_0", tmp_path / "bag", "--params", str(parameters)) == expected
    features, matches = ([points_from_cloud(cloud) for cloud in expected[name]] for name in ("features", "matches"))
    assert all(len(points) == 300 and points["descriptor"].dtype == np.uint8 for points in features)
    assert all(len(points) > 100 and "inlier" in points.dtype.names for points in matches[1:])
    for points in features:
        assert points["u"].min() > 5 and not ((points["u"] > 40.5) & (points["u"] < 58.5)).any()


@pytest.mark.parametrize("given", ["parameters", "defaults"])
def test_the_bag_of_pairs_is_what_the_node_publishes(
    make_graph: Callable[..., Graph], pairs: Path, parameters: Path, tmp_path: Path, given: str
) -> None:
    if given == "defaults":
        parameters.write_text("/**:\n  ros__parameters: {backend: onnxruntime, precision: fp32, scale: 0.5}\n")
    defaults = {"max_keypoints": 5000} if given == "defaults" else {}
    of_the_node = {"stereo.sync": "exact", "image_reliability": "reliable"}
    graph = make_graph(**{**defaults, **read_parameter_file(parameters), **of_the_node})
    expected = published(graph, pairs, STEREO_TYPES)
    assert bag_of(pairs, tmp_path / "bag", "--params", str(parameters)) == expected
    right, stereo = (
        map(points_from_cloud, expected["right/features"]),
        map(points_from_cloud, expected["stereo_matches"]),
    )
    for rows, points in zip(right, stereo):
        assert len(points) > 100 and np.isfinite(points["z"]).all()
        np.testing.assert_array_equal(rows["u"][points["index_right"]], points["u_right"])
    assert len(expected["tracks"][-1].points) > 50


def test_the_bag_of_a_stereo_recording_has_the_stamps_of_both_images(
    make_graph: Callable[..., Graph], pairs: Path, parameters: Path, tmp_path: Path
) -> None:
    delay = 3_000_000  # nanoseconds from a left image to the right one
    recorder = Recorder(tmp_path / "recording")
    for frame in read_frames(open_source(str(pairs))):
        for side, messages in zip(("left", "right"), views(frame, delay)):
            for name, message in zip(("image_raw", "camera_info"), messages):
                recorder.write(f"/{side}/{name}", message, frame.stamp + delay)
    recorder.close()
    sync = {"stereo.sync": "approximate", "stereo.max_interval": 0.01}
    graph = make_graph(**read_parameter_file(parameters), **sync, image_reliability="reliable")
    expected = published(graph, pairs, STEREO_TYPES, delay)
    topics = ["--topic", "/left/image_raw", "--right-topic", "/right/image_raw"]
    settings = ["--params", str(parameters), *(f"--set={name}={value}" for name, value in sync.items())]
    assert bag_of(tmp_path / "recording", tmp_path / "bag", *topics, *settings) == expected
    headers = [cloud.header for cloud in expected["right/features"]]
    assert {header.frame_id for header in headers} == {"camera_right"} and headers[0].stamp.nanosec == delay


def test_a_pair_with_a_damaged_right_image_keeps_the_tracks_and_is_counted(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pairs / "image_1" / "000001.png"
    path.write_bytes(path.read_bytes()[:50])
    messages = bag_of(pairs, tmp_path / "bag", "--max-keypoints", "300", "--scale", "1")
    assert len(messages["features"]) == len(messages["tracks"]) == COUNT
    assert len(messages["stereo_matches"]) == len(messages["right/features"]) == COUNT - 1
    assert all(len(points) > 100 for points in map(points_from_cloud, messages["matches"][1:]))
    said = capsys.readouterr().err
    assert "1 of 4 stereo pairs: no stereo matches: the right image is missing" in said
    assert "4 images were read, 1 was left out" in said


def test_pairs_without_a_calibration_have_no_points_which_is_counted(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pairs / "calib.txt").unlink()
    messages = bag_of(pairs, tmp_path / "bag", "--max-keypoints", "300", "--scale", "1")
    assert all(
        np.isnan(points["z"]).all() and len(points) > 100
        for points in map(points_from_cloud, messages["stereo_matches"])
    )
    assert "tracks" not in messages
    assert "4 of 4 stereo pairs: stereo matches have no points: the source has no calib" in capsys.readouterr().err
