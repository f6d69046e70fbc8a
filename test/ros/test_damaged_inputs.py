"""The tables of docs/messages.md on missing and damaged inputs, row by row."""

from __future__ import annotations

import array
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from harness import Graph, camera_info, image_message, picture
from rclpy.context import Context
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from test_message_docs import tables
from test_odometry_node import CAMERA, clouds
from test_odometry_node import Graph as OdometryGraph

from silk_ros.ros.camera_messages import camera_info_message
from silk_ros.ros.messages import points_from_cloud

LEVELS = {name: getattr(DiagnosticStatus, name) for name in ("OK", "WARN", "STALE")}
FRONT_END, ODOMETRY = ({row[0]: row[1:] for row in table} for table in tables("When inputs are missing or damaged"))
GOOD = picture()
CUT = CompressedImage(format="jpeg", data=array.array("B", bytes(cv2.imencode(".jpg", GOOD)[1])[:900]))


def image(stamp: float = 1.0, **changes: object) -> Image:
    return image_message(GOOD, stamp, **changes)


def colour() -> Image:
    return image_message(np.dstack([GOOD] * 3), encoding="bgr8")


def half_damaged() -> list[Image]:
    return [image(stamp, **({} if stamp % 2 else {"step": 7})) for stamp in range(1, 8)]


def renamed(stamp: int) -> Image:
    message = image(stamp)
    message.header.frame_id = f"camera {stamp % 2}"
    return message


def bad_stamp() -> Image:
    message = image()
    message.header.stamp.nanosec = 10**9
    return message


Delivery = tuple[str, Image | CompressedImage | CameraInfo]
PAIR: dict[str, object] = {"stereo.sync": "exact"}
# Parameters of the node, and the messages with their topics.
CASES: dict[str, tuple[dict[str, object], list[Delivery]]] = {
    "no image": ({}, []),
    "an image that contradicts itself (size, step, data), or is empty": ({}, [("/image_raw", image(step=7))]),
    "an unknown or a depth encoding": ({}, [("/image_raw", image(encoding="32FC1"))]),
    "a damaged or cut-off compressed image": (
        {"image_transport": "compressed"},
        [("/image_raw/compressed", CUT)],
    ),
    "every second image damaged": ({}, [("/image_raw", message) for message in half_damaged()]),
    "an image below the receptive field": ({}, [("/image_raw", image_message(GOOD[:5, :5]))]),
    "a stamp with a second or more of nanoseconds": ({}, [("/image_raw", bad_stamp())]),
    "a stamp of zero": ({}, [("/image_raw", image(0.0))]),
    "an older stamp": ({}, [("/image_raw", image(2.0)), ("/image_raw", image(1.0))]),
    "images of several cameras": ({}, [("/image_raw", renamed(stamp)) for stamp in range(1, 8)]),
    "no camera_info": ({}, [("/image_raw", image())]),
    "an unusable camera_info": ({}, [("/camera_info", camera_info(focal_length=0.0)), ("/image_raw", image())]),
    "a camera_info of another size": ({}, [("/camera_info", camera_info(320, 240)), ("/image_raw", image())]),
    "a mask in colour": ({}, [("/mask", colour()), ("/image_raw", image())]),
    "a mask of another size": ({}, [("/mask", image_message(GOOD[:50])), ("/image_raw", image())]),
    "a right image that is damaged": (PAIR, [("/left/image_raw", image()), ("/right/image_raw", image(step=7))]),
    "a pair without usable camera_info": (PAIR, [("/left/image_raw", image()), ("/right/image_raw", image())]),
    "one image of a pair only": (PAIR, [("/left/image_raw", image(stamp)) for stamp in range(1, 9)]),
}


@pytest.mark.parametrize("case", [*FRONT_END])
def test_the_front_end_does_what_the_table_says(
    make_graph: Callable[..., Graph], case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    counter, level, said, published = FRONT_END[case]
    parameters, messages = CASES[case]
    graph = make_graph(**parameters, **({"no_data_timeout": 0.5} if level == "STALE" else {}))
    graph.wait_for_node()
    for topic, message in messages:
        graph.deliver(message, topic)
    if level == "OK":
        graph.wait_for_count(counter)
        assert graph.level == DiagnosticStatus.OK
        logged: list[str] = []  # after it was counted

        def is_logged() -> bool:
            logged.append(capfd.readouterr().err)
            return said in "".join(logged)

        graph.spin_until(is_logged)
    else:
        graph.spin_until(lambda: graph.level == LEVELS[level] and said in graph.summary)
        assert not counter or graph.count(counter)
    assert graph.count("failed_frames") == 0
    if published.startswith("all"):
        graph.spin_until(
            lambda: len(graph.features) == sum("image_raw" in topic for topic, _ in messages if "right" not in topic)
        )
    elif published.startswith("nothing"):
        assert not graph.features
    if "NaN" in published:
        graph.spin_until(lambda: graph.features)
        assert np.isnan(points_from_cloud(graph.features[0])["x"]).all() and not graph.features[0].is_dense
    if case == "every second image damaged":
        graph.spin_until(lambda: len(graph.matches) == 4)
        assert [cloud.width > 150 for cloud in graph.matches] == [False, True, True, True]


def other_fields() -> PointCloud2:
    cloud = list(clouds(2))[1][1]
    cloud.header.frame_id = "left_camera"
    return cloud


def of_second_camera() -> PointCloud2:
    cloud = list(clouds(2))[1][0]
    cloud.header.frame_id = "right_camera"
    return cloud


def infos(**changes: object) -> CameraInfo:
    message = camera_info_message(Header(frame_id="left_camera"), CAMERA)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def matches() -> PointCloud2:
    return list(clouds(2))[1][0]


ODOMETRY_CASES: dict[str, list[CameraInfo | PointCloud2]] = {
    "no clouds": [infos()],
    "no camera_info": [matches()],
    "an unusable camera_info": [infos(k=[0.0] * 9), matches()],
    "a cloud with other fields": [infos(), other_fields()],
    "matches outside of the images of camera_info": [infos(width=320, height=240), matches()],
    "clouds of a second camera": [infos(), matches(), of_second_camera()],
}


@pytest.mark.parametrize("case", [*ODOMETRY])
def test_the_odometry_does_what_the_table_says(context: Context, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counter, level, said, published = ODOMETRY[case]
    if level == "STALE":
        monkeypatch.setattr("silk_ros.ros.odometry_node.SILENCE", 0.5)
    graph = OdometryGraph(context)
    try:
        for message in ODOMETRY_CASES[case]:
            if isinstance(message, CameraInfo):
                graph.node._on_camera_info(message)
            else:
                graph.node._put("matches", message)
        graph.spin_until(lambda: graph.level == LEVELS[level] and said in graph.summary)
        assert not counter or int(graph.diagnostics[counter])
        assert graph.diagnostics["failures"] == "0" and not graph.odometry
        assert published.startswith(("nothing", "poses of the first"))
    finally:
        graph.close()


def test_every_row_has_a_case() -> None:
    assert set(FRONT_END) == set(CASES) and set(ODOMETRY) == set(ODOMETRY_CASES)
