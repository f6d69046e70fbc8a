"""Topics that hold the images of several cameras: no match between two cameras, and a warning that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from harness import Graph, camera_info, image_message, picture
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, PointCloud, PointCloud2

from silk_ros.ros.messages import points_from_cloud

VIEWS = {"front": picture(), "rear": picture(shift=60)}


def image(frame_id: str, stamp: float, view: np.ndarray | None = None) -> Image:
    message = image_message(VIEWS["front"] if view is None else view, stamp)
    message.header.frame_id = frame_id
    return message


def clouds_of(graph: Graph, frame_id: str) -> tuple[list[PointCloud2], list[PointCloud2]]:
    """The feature and the match clouds of a camera, of the same images."""
    matches = {cloud.header.stamp.sec: cloud for cloud in graph.matches if cloud.header.frame_id == frame_id}
    features = {cloud.header.stamp.sec: cloud for cloud in graph.features if cloud.header.frame_id == frame_id}
    both = sorted(features.keys() & matches.keys())
    return [features[stamp] for stamp in both], [matches[stamp] for stamp in both]


def send_in_turn(graph: Graph, frame_ids: tuple[str, ...], rounds: int = 5) -> None:
    for stamp in range(1, rounds * len(frame_ids) + 1):
        name = frame_ids[stamp % len(frame_ids)]
        graph.deliver(image(name, stamp, VIEWS.get(name)), "/image_raw")
    graph.spin_until(lambda: len(graph.matches) >= rounds * len(frame_ids))


@pytest.mark.parametrize("other", ["rear", ""])
def test_cameras_in_turn_are_named_and_have_tracks_of_their_own(graph: Graph, other: str) -> None:
    graph.wait_for_node()
    send_in_turn(graph, ("front", other))
    ids = {}
    for frame_id in ("front", other):
        features, matches = clouds_of(graph, frame_id)
        stamps = [cloud.header.stamp.sec for cloud in features]
        assert len(stamps) == 5 and np.all(np.diff(stamps) == 2)
        assert matches[0].width == 0
        for before, stamp, cloud in zip(stamps, stamps[1:], matches[1:]):
            points = points_from_cloud(cloud)
            assert len(points) > 150 and stamp == cloud.header.stamp.sec
            assert (points["prev_sec"] == before).all()
            assert (points["u"] == points["u_prev"]).all() and (points["v"] == points["v_prev"]).all()
        ids[frame_id] = {int(number) for cloud in features for number in points_from_cloud(cloud)["track_id"]}
    assert not ids["front"] & ids[other]
    graph.spin_until(lambda: "several cameras" in graph.summary)
    assert graph.level == DiagnosticStatus.WARN and "/image_raw" in graph.summary
    assert f"{sorted(['front', other])}"[1:-1] in graph.summary and "a node of its own" in graph.summary
    assert graph.diagnostics["cameras"] == f"{sorted(['front', other])}"[1:-1]
    assert graph.count("camera_changes") == 9 and graph.count("restarts") == 0


def test_a_camera_that_is_renamed_once_is_one_camera(graph: Graph) -> None:
    graph.wait_for_node()
    for stamp, name in enumerate(("left", "left", "left_optical", "left_optical"), start=1):
        graph.deliver(image(name, stamp), "/image_raw")
    graph.spin_until(lambda: graph.diagnostics["cameras"] == "'left', 'left_optical'")
    assert graph.level == DiagnosticStatus.OK and graph.count("camera_changes") == 1
    graph.spin_until(lambda: len(graph.matches) == 4)
    assert [cloud.width > 0 for cloud in graph.matches] == [False, True, False, True]


def test_a_flood_of_frame_ids_costs_neither_memory_nor_a_long_message(graph: Graph) -> None:
    graph.wait_for_node()
    for stamp in range(1, 10):
        graph.deliver(image(f"{stamp}\n" * 100, stamp), "/image_raw")
    graph.spin_until(lambda: "several cameras" in graph.summary)
    assert len(graph.summary) < 500 and "\n" not in graph.summary and "more" in graph.diagnostics["cameras"]
    assert "the first 4 get tracks of their own, the others no matches" in graph.summary
    for stamp in range(10, 30):
        graph.deliver(image(f"{stamp}\n" * 100, stamp), "/image_raw")
    graph.spin_until(lambda: "each image on /image_raw has another frame_id" in graph.summary)
    assert graph.level == DiagnosticStatus.WARN and len(graph.summary) < 500
    graph.spin_until(lambda: len(graph.matches) == 29)
    assert [cloud.width > 100 for cloud in graph.matches] == [False] * 17 + [True] * 12
    assert len(list(graph.node._worker._front_ends._front_ends)) == 5
    assert graph.count("failed_frames") == 0 and graph.count("frames_of_further_cameras") == 12


def test_cameras_beyond_the_fourth_have_no_matches_and_are_counted(graph: Graph) -> None:
    graph.wait_for_node()
    names = ("a", "b", "c", "d", "e")
    for stamp in range(1, 16):
        graph.deliver(image(names[(stamp - 1) % 5], stamp), "/image_raw")
    graph.spin_until(lambda: len(graph.matches) == 15)
    assert [cloud.width > 150 for cloud in graph.matches] == [False] * 5 + ([True] * 4 + [False]) * 2
    graph.wait_for_count("frames_of_further_cameras", least=3)
    graph.spin_until(lambda: "'d' and 1 more: the first 4 get tracks of their own" in graph.summary)
    graph.spin_until(lambda: "beyond the first 4 of a topic have no matches" in graph.diagnostics["last_error"])


def test_every_camera_has_a_range_of_16_bits_of_its_own(graph: Graph) -> None:
    """Thermal images beside those of a sensor of 12 bits."""
    graph.wait_for_node()
    deep = picture().astype(np.uint16) * 12
    for stamp in range(1, 7):
        warm = bool(stamp % 2)
        message = image_message(deep + 28_500 if warm else deep, stamp, encoding="mono16")
        message.header.frame_id = "thermal" if warm else "gray"
        graph.deliver(message, "/image_raw")
    graph.spin_until(lambda: len(graph.matches) == 6)
    assert min(cloud.width for cloud in graph.matches[2:]) > 150
    first, second = graph.features[:2]
    for field in ("u", "v"):
        assert (points_from_cloud(first)[field] == points_from_cloud(second)[field]).all()


def test_a_camera_without_camera_info_has_no_rays_of_another(graph: Graph) -> None:
    graph.wait_for_node()
    info = camera_info()
    info.header.frame_id = "front"
    graph.deliver(info, "/camera_info")
    send_in_turn(graph, ("rear", "front"))
    for cloud in graph.features:
        rays = points_from_cloud(cloud)["x"]
        assert (np.isfinite(rays) if cloud.header.frame_id == "front" else np.isnan(rays)).all()
    graph.spin_until(lambda: "is of 'front', but the images are of 'rear'" in graph.diagnostics["last_error"])


def test_publishers_of_one_frame_id_are_named(graph: Graph, make_peer: Callable[..., object]) -> None:
    """The clocks of both agree, so that only the numbers of the messages tell."""
    other = make_peer("/other").peer.create_publisher(Image, "/image_raw", qos_profile_sensor_data)
    graph.wait_for_node()
    stamps: Iterator[float] = iter(range(1, 1000))

    def publish() -> None:
        for publisher in (graph.images, other):
            publisher.publish(image("camera", next(stamps)))

    graph.spin_until(lambda: "several publishers" in graph.summary, publish)
    assert graph.level == DiagnosticStatus.WARN and "/other/peer, /peer" in graph.summary
    assert "remap each camera to a node of its own" in graph.summary


def test_a_publisher_that_is_silent_is_no_problem(graph: Graph, make_peer: Callable[..., object]) -> None:
    make_peer("/other").peer.create_publisher(Image, "/image_raw", qos_profile_sensor_data)
    graph.wait_for_node()
    for stamp in range(1, 10):
        graph.deliver(image("camera", stamp), "/image_raw")
    graph.wait_for_node()
    assert graph.level == DiagnosticStatus.OK


def test_stamps_of_two_clocks_in_turn_have_no_matches_and_the_likely_cause(graph: Graph) -> None:
    graph.wait_for_node()
    for index in range(12):
        graph.deliver(image("camera", 100 + index - index % 2 * 50.5), "/image_raw")
    graph.spin_until(lambda: len(graph.matches) == 12)
    # An older stamp starts new tracks; a newer one after it cannot be told from a pause.
    assert all(cloud.width == 0 for cloud in graph.matches[1::2])
    graph.spin_until(lambda: "out of order again and again" in graph.summary)
    assert graph.level == DiagnosticStatus.WARN and "played in a loop" in graph.summary
    assert graph.count("restarts") == 6


def test_every_camera_has_the_rays_of_its_own_calibration(graph: Graph) -> None:
    graph.wait_for_node()
    tracks: list[PointCloud] = []
    graph.peer.create_subscription(PointCloud, "silk/tracks", tracks.append, 50)
    graph.spin_until(lambda: graph.node.count_subscribers("/silk/tracks"))
    focal_lengths = {"front": 100.0, "rear": 200.0}
    for name, focal_length in focal_lengths.items():
        info = camera_info(focal_length=focal_length)
        info.header.frame_id = name
        graph.deliver(info, "/camera_info")
    send_in_turn(graph, ("front", "rear"))
    for cloud in graph.features:
        points = points_from_cloud(cloud)
        expected = (points["u"] - 79.5) / focal_lengths[cloud.header.frame_id]
        np.testing.assert_allclose(points["x"], expected, atol=1e-5)
    graph.spin_until(lambda: len(tracks) >= 10)
    for message in tracks:
        velocity = {channel.name: np.array(channel.values) for channel in message.channels}["velocity_x"]
        assert not velocity.any()  # each view stands still
    assert sum(len(message.points) for message in tracks) > 1000
    graph.deliver(image("top", 100), "/image_raw")
    graph.wait_for_count("frames_without_rays")
    assert "camera_info on /camera_info is of 'front', 'rear'" in graph.diagnostics["last_error"]


def test_cameras_that_share_the_topics_of_a_pair_are_named_for_each_side(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"stereo.sync": "exact"})
    graph.wait_for_node()
    right_infos = {"right": 0.5, "other right": 0.25}  # metres of baseline
    for name, baseline in right_infos.items():
        info = camera_info()
        info.p = [100.0, 0.0, 79.5, -100 * baseline, 0.0, 100.0, 59.5, 0.0, 0.0, 0.0, 1.0, 0.0]
        info.header.frame_id = name
        graph.deliver(info, "/right/camera_info")
    graph.deliver(camera_info(), "/left/camera_info")
    clouds: list[PointCloud2] = []
    graph.peer.create_subscription(PointCloud2, "silk/stereo_matches", clouds.append, 50)
    graph.spin_until(lambda: graph.node.count_subscribers("/silk/stereo_matches"))
    for stamp in range(1, 9):
        graph.deliver(image("left", stamp), "/left/image_raw")
        right = "right" if stamp % 2 else "other right"
        graph.deliver(image(right, stamp, picture(shift=8)), "/right/image_raw")
    graph.spin_until(lambda: "several cameras" in graph.summary)
    assert "/right/image_raw has images of several cameras, 'other right', 'right'" in graph.summary
    assert "/left/image_raw" not in graph.summary
    assert graph.diagnostics["cameras"] == "'left'; 'other right', 'right'"
    graph.spin_until(lambda: len(graph.matches) == 8 and len(clouds) == 8)
    assert [cloud.width > 0 for cloud in graph.matches] == [False] * 2 + [True] * 6
    for cloud in clouds:
        points = points_from_cloud(cloud)
        depth = 100 * right_infos["right" if cloud.header.stamp.sec % 2 else "other right"] / points["disparity"]
        np.testing.assert_allclose(points["z"], depth, rtol=1e-3)


def test_the_warning_ends_with_the_subscriptions(graph: Graph) -> None:
    graph.wait_for_node()
    send_in_turn(graph, ("front", "rear"))
    graph.spin_until(lambda: graph.level == DiagnosticStatus.WARN)
    graph.node.trigger_deactivate()
    graph.node.trigger_activate()
    graph.deliver(image("front", 100), "/image_raw")
    graph.wait_for_node()
    assert graph.level == DiagnosticStatus.OK
