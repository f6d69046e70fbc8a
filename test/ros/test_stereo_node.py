"""The node with a stereo pair, over DDS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from harness import Graph, camera_info, image_message, picture
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud, PointCloud2

from silk_ros.ros.messages import STEREO_MATCH_DTYPE, features_from_cloud, points_from_cloud

DISPARITY, FOCAL_LENGTH, BASELINE = 8, 100.0, 0.5


class Pair:
    """Two cameras before a plane, at the distance that gives a disparity of DISPARITY pixels."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.clouds: list[PointCloud2] = []
        create = graph.peer.create_publisher
        self.images = [create(Image, f"{side}/image_raw", qos_profile_sensor_data) for side in ("left", "right")]
        self.infos = [create(CameraInfo, f"{side}/camera_info", qos_profile_sensor_data) for side in ("left", "right")]
        graph.peer.create_subscription(PointCloud2, "silk/stereo_matches", self.clouds.append, 50)

    def send(self, stamp: float, right_stamp: float | None = None, shift: int = 0, calibrated: bool = True) -> None:
        info, right_info = camera_info(), camera_info()
        info.p = [FOCAL_LENGTH, 0.0, 79.5, 0.0, 0.0, FOCAL_LENGTH, 59.5, 0.0, 0.0, 0.0, 1.0, 0.0]
        right_info.p = list(info.p)
        right_info.p[3] = -FOCAL_LENGTH * BASELINE
        if calibrated:
            self.infos[0].publish(info)
            self.infos[1].publish(right_info)
        self.images[0].publish(image_message(picture(shift=shift), stamp))
        self.images[1].publish(image_message(picture(shift=shift + DISPARITY), right_stamp or stamp))


def test_matches_of_a_pair_have_disparity_and_points_in_metres(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"stereo.sync": "exact"})
    pair = Pair(graph)

    def calibrated() -> bool:
        return bool(pair.clouds) and pair.clouds[-1].is_dense

    graph.spin_until(calibrated, lambda: pair.send(stamp=1.0))
    cloud = pair.clouds[-1]
    points = points_from_cloud(cloud)
    assert points.dtype == STEREO_MATCH_DTYPE and len(points) > 100
    right = np.abs(points["disparity"] - DISPARITY) < 0.1
    assert right.mean() > 0.9
    np.testing.assert_allclose(points["u"] - points["u_right"], points["disparity"], atol=1e-3)
    np.testing.assert_allclose(points["z"], FOCAL_LENGTH * BASELINE / points["disparity"], rtol=1e-4)
    np.testing.assert_allclose(points["x"], (points["u"] - 79.5) / FOCAL_LENGTH * points["z"], rtol=1e-3, atol=1e-4)
    graph.spin_until(lambda: any(features.header == cloud.header for features in graph.features))
    (features,) = [cloud_ for cloud_ in graph.features if cloud_.header == cloud.header][:1]
    keypoints = features_from_cloud(features).keypoints
    np.testing.assert_array_equal(keypoints[points["index"]], np.stack([points["u"], points["v"]], axis=1))


def test_pair_without_calibration_has_disparities_and_no_points(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"stereo.sync": "exact"})
    pair = Pair(graph)
    graph.spin_until(lambda: pair.clouds, lambda: pair.send(stamp=1.0, calibrated=False))
    points = points_from_cloud(pair.clouds[-1])
    assert np.isnan(points["z"]).all() and (np.abs(points["disparity"] - DISPARITY) < 0.1).mean() > 0.9
    graph.wait_for_count("frames_without_points")


@pytest.mark.parametrize("sync, seen", [("exact", False), ("approximate", True)])
def test_stamps_that_differ_a_little_make_an_approximate_pair_only(
    make_graph: Callable[..., Graph], sync: str, seen: bool
) -> None:
    graph = make_graph(**{"stereo.sync": sync, "no_data_timeout": 0.5})
    pair = Pair(graph)
    stamps = iter(np.arange(1, 1000) / 10)

    def send() -> None:
        stamp = float(next(stamps))
        pair.send(stamp, stamp + 0.004)

    if seen:
        graph.spin_until(lambda: pair.clouds, send)
    else:
        graph.wait_for_count("unpaired_images", send, least=4)
        graph.spin_until(lambda: graph.summary.startswith("no image"), send)
        assert not pair.clouds and not graph.features


def test_tracks_of_a_pair_are_those_of_both_cameras(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"stereo.sync": "exact", "tracks.camera_id": 0, "tracks.min_age": 1})
    pair = Pair(graph)
    messages: list[PointCloud] = []
    graph.peer.create_subscription(PointCloud, "silk/tracks", messages.append, 10)
    graph.spin_until(lambda: messages and len(set(messages[-1].channels[1].values)) == 2, lambda: pair.send(stamp=1.0))
    channels = {channel.name: np.array(channel.values) for channel in messages[-1].channels}
    rays = {}
    for camera in (0, 1):
        of_it = channels["camera_id"] == camera
        rays[camera] = dict(zip(channels["id"][of_it], np.array([p.x for p in messages[-1].points])[of_it]))
    both = set(rays[0]) & set(rays[1])
    assert set(rays[1]) == both and len(both) > 100
    shift = np.array([rays[0][track] - rays[1][track] for track in both])
    assert (np.abs(shift - DISPARITY / FOCAL_LENGTH) < 1e-3).mean() > 0.9


def test_compressed_images_give_features(make_graph: Callable[..., Graph]) -> None:
    import cv2

    graph = make_graph(image_transport="compressed")
    publisher = graph.peer.create_publisher(CompressedImage, "image_raw/compressed", qos_profile_sensor_data)
    message = CompressedImage(format="png", data=cv2.imencode(".png", picture())[1].tobytes())
    message.header.stamp.sec = 1
    graph.spin_until(lambda: graph.features, lambda: publisher.publish(message))
    assert graph.features[0].width == 200
    damaged = CompressedImage(format="png", data=bytes(message.data)[:500])
    graph.wait_for_count("rejected_images", lambda: publisher.publish(damaged))


def test_right_image_that_cannot_be_used_leaves_the_left_one_alone(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"stereo.sync": "exact"})
    pair = Pair(graph)
    stamps = iter(range(1, 1000))

    def send() -> None:
        stamp = float(next(stamps))
        pair.images[0].publish(image_message(picture(), stamp))
        pair.images[1].publish(image_message(picture()[:5, :5], stamp))

    graph.wait_for_count("frames_without_stereo", send, least=3)
    graph.spin_until(lambda: graph.matches and graph.matches[-1].width > 50, send)
    assert not pair.clouds and graph.count("rejected_images") == 0


def test_silent_camera_of_a_pair_is_named(make_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    graph = make_graph(**{"stereo.sync": "exact", "no_data_timeout": 1.0})
    pair = Pair(graph)
    warnings: list[str] = []
    monkeypatch.setattr(graph.node._problems, "_log", warnings.append)
    stamps = iter(range(1, 1000))
    graph.spin_until(
        lambda: any("no data on /right/image_raw" in text and "/left/image_raw" not in text for text in warnings),
        lambda: pair.images[0].publish(image_message(picture(), float(next(stamps)))),
    )


def test_right_features_are_the_rows_of_the_stereo_matches(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"stereo.sync": "exact"})
    pair = Pair(graph)
    clouds: list[PointCloud2] = []
    graph.peer.create_subscription(PointCloud2, "silk/right/features", clouds.append, 50)
    graph.spin_until(lambda: clouds and pair.clouds, lambda: pair.send(stamp=1.0))
    points, right = points_from_cloud(pair.clouds[-1]), points_from_cloud(clouds[-1])
    assert len(right) == 200 and len(points) > 100
    rows = right[points["index_right"]]
    np.testing.assert_array_equal(rows["u"], points["u_right"])
    np.testing.assert_array_equal(rows["v"], points["v_right"])
    assert (points["disparity_sigma"] > 0).all() and (points["disparity_sigma"] < 1).all()
