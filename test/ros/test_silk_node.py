"""The node over DDS: what it publishes, and that no input stops it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import DEADLINE, Graph, Peer, camera_info, image_message, picture
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud, PointField
from std_srvs.srv import SetBool, Trigger

from silk_ros import match
from silk_ros.backends import select_backend
from silk_ros.commands.benchmark_rate import params_file
from silk_ros.evaluation.speed.rate import CameraLoad, Candidate
from silk_ros.paths import default_model
from silk_ros.ros.front_end import drop_warning, outputs
from silk_ros.ros.front_end.drop_warning import DropWatch
from silk_ros.ros.messages import features_from_cloud, matches_from_cloud, points_from_cloud


def test_features_carry_the_image_header_and_the_contract_fields(graph: Graph) -> None:
    cloud, _ = graph.send(image_message(picture(), stamp=12.5))
    assert (cloud.header.frame_id, cloud.header.stamp.sec, cloud.header.stamp.nanosec) == ("test_camera", 12, 500000000)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "u", "v", "score", "track_id", "descriptor"]
    features = features_from_cloud(cloud)
    assert len(features) == 200
    assert np.all(np.diff(features.scores) <= 0)
    np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-5)
    assert features.keypoints.min() >= 3 and (features.keypoints.max(axis=0) <= [156, 116]).all()


def test_matches_pair_the_rows_of_two_feature_clouds(graph: Graph) -> None:
    first, nothing = graph.send(image_message(picture(), stamp=1.0))
    second, cloud = graph.send(image_message(picture(shift=5), stamp=2.0))
    assert nothing.width == 0
    points, matches = points_from_cloud(cloud), matches_from_cloud(cloud)
    now, before = features_from_cloud(second), features_from_cloud(first)
    np.testing.assert_array_equal(np.stack([points["u"], points["v"]], 1), now.keypoints[matches.indices[:, 0]])
    np.testing.assert_array_equal(
        np.stack([points["u_prev"], points["v_prev"]], 1), before.keypoints[matches.indices[:, 1]]
    )
    assert set(points["prev_sec"]) == {1} and set(points["prev_nanosec"]) == {0}
    motion = now.keypoints[matches.indices[:, 0]] - before.keypoints[matches.indices[:, 1]]
    assert (motion == [-5, 0]).all(axis=1).mean() > 0.8
    # A match continues the track of the earlier keypoint.
    np.testing.assert_array_equal(points["track_id"], points_from_cloud(first)["track_id"][matches.indices[:, 1]])
    np.testing.assert_array_equal(points["track_id"], points_from_cloud(second)["track_id"][matches.indices[:, 0]])


def test_tracks_are_sent_with_intrinsics_to_who_listens(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"tracks.max_count": 50})
    received: list[PointCloud] = []
    graph.peer.create_subscription(PointCloud, "/silk/tracks", received.append, 5)
    shift = 0

    def move() -> None:
        nonlocal shift
        shift += 2
        graph.infos.publish(camera_info())
        graph.images.publish(image_message(picture(shift=shift % 40), stamp=1.0 + shift / 20))

    graph.spin_until(lambda: any(len(message.points) == 50 for message in received), move)
    message = next(message for message in received if len(message.points) == 50)
    assert message.header.frame_id == "test_camera"
    values = {channel.name: np.array(channel.values) for channel in message.channels}
    assert list(values) == ["id", "u", "v", "velocity_x", "velocity_y"]
    np.testing.assert_allclose([point.x for point in message.points], (values["u"] - 79.5) / 100, atol=1e-5)
    assert len(set(values["id"])) == 50


def test_verified_matches_are_flagged_and_few_are_published(make_graph: Callable[..., Graph]) -> None:
    settings = {"verification.method": "fundamental", "verification.outliers": "flag", "max_published": 120}
    graph = make_graph(**settings)
    graph.send(image_message(picture(), stamp=1.0))
    features, cloud = graph.send(image_message(picture(shift=5), stamp=2.0))
    assert features.width == 120
    points = points_from_cloud(cloud)
    assert 50 < len(points) <= 120 and points["inlier"].mean() > 0.5 and points["index"].max() < 120
    graph.spin_until(lambda: 0 < float(graph.diagnostics.get("inlier_ratio", "nan")) <= 1)


@pytest.mark.parametrize(
    ("descriptor_format", "datatype"), [("float16", PointField.UINT16), ("binary256", PointField.UINT8)]
)
def test_descriptors_come_in_the_format_asked_for(
    make_graph: Callable[..., Graph], descriptor_format: str, datatype: int
) -> None:
    graph = make_graph(descriptor_format=descriptor_format)
    first, _ = graph.send(image_message(picture(), stamp=1.0))
    second, cloud = graph.send(image_message(picture(shift=5), stamp=2.0))
    field = first.fields[-1]
    assert (field.name, field.datatype, field.count) == ("descriptor", datatype, 32)
    # A back-end that matches what it received finds what the node found.
    expected = {tuple(pair) for pair in matches_from_cloud(cloud).indices.tolist()}
    found = match(features_from_cloud(second), features_from_cloud(first)).indices.tolist()
    share = len(expected & {tuple(pair) for pair in found}) / len(expected)
    assert share > (0.98 if descriptor_format == "float16" else 0.75)


def test_rays_need_camera_info(graph: Graph) -> None:
    cloud, _ = graph.send(image_message(picture(), stamp=1.0))
    assert not cloud.is_dense and np.isnan(points_from_cloud(cloud)["x"]).all()
    graph.wait_for_count("frames_without_rays")

    def with_info() -> None:
        graph.infos.publish(camera_info())
        graph.images.publish(image_message(picture(), stamp=2.0))

    graph.spin_until(lambda: graph.features[-1].is_dense, with_info)
    points = points_from_cloud(graph.features[-1])
    np.testing.assert_allclose(points["x"], (points["u"] - 79.5) / 100, atol=1e-5)
    np.testing.assert_allclose(points["y"], (points["v"] - 59.5) / 100, atol=1e-5)
    assert (points["z"] == 1).all()


@pytest.mark.parametrize(
    "info", [camera_info(focal_length=0.0), camera_info(width=320)], ids=["uncalibrated", "another size"]
)
def test_unusable_camera_info_is_reported_and_features_go_on(graph: Graph, info: CameraInfo) -> None:
    def publish() -> None:
        graph.infos.publish(info)
        graph.images.publish(image_message(picture()))

    graph.spin_until(lambda: "camera_info" in graph.summary, publish)
    graph.wait_for_count("frames_without_rays", publish)
    graph.spin_until(lambda: graph.features, publish)
    assert np.isnan(points_from_cloud(graph.features[-1])["x"]).all()


def test_scaled_keypoints_stay_in_pixels_of_the_received_image(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(scale=0.5)
    before, _ = graph.send(image_message(picture(shift=0), stamp=1.0))
    after, cloud = graph.send(image_message(picture(shift=8), stamp=2.0))
    matches = matches_from_cloud(cloud)
    motion = (
        features_from_cloud(after).keypoints[matches.indices[:, 0]]
        - features_from_cloud(before).keypoints[matches.indices[:, 1]]
    )
    assert (np.abs(motion - [-8, 0]).max(axis=1) < 1e-3).mean() > 0.7


gray = picture()
colour = np.dstack([gray] * 3)
BAD_IMAGES = {
    "unknown encoding": (image_message(gray, encoding="32FC7"), "unknown image encoding"),
    "short data": (image_message(gray, data=image_message(gray).data[:-7]), "step x height"),
    "long data": (image_message(np.vstack([gray, gray]), height=120), "step x height"),
    "step below a row": (image_message(gray, step=100), "shorter than a row"),
    "zero size": (image_message(gray, height=0, width=0, step=0, data=[]), "is empty"),
    "below the receptive field": (image_message(gray[:6, :6]), "receptive field"),
}


@pytest.mark.parametrize("message, reason", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_image_is_counted_with_its_reason_and_the_node_lives_on(graph: Graph, message: Image, reason: str) -> None:
    graph.wait_for_count("rejected_images", lambda: graph.images.publish(message))
    graph.spin_until(lambda: reason in graph.diagnostics["last_error"])
    graph.spin_until(lambda: reason in graph.summary)
    assert not graph.features
    graph.send(image_message(gray))


padded = np.zeros((120, 200), np.uint8)
padded[:, :160] = gray
bayer = gray  # a grey scene: every colour filter sees the same
UYVY = np.dstack([np.full_like(gray, 128), gray])
YUYV = np.dstack([gray, np.full_like(gray, 128)])
ENCODINGS = {
    "mono8": image_message(gray),
    "padded rows": image_message(padded, width=160),
    "mono16": image_message(gray.astype(np.uint16) * 257, encoding="mono16"),
    "big-endian mono16": image_message((gray.astype(np.uint16) * 257).astype(">u2"), encoding="mono16", is_bigendian=1),
    "bgr8": image_message(colour, encoding="bgr8"),
    "rgb8": image_message(colour, encoding="rgb8"),
    "bgra8": image_message(np.dstack([colour, gray]), encoding="bgra8"),
    "rgba8": image_message(np.dstack([colour, gray]), encoding="rgba8"),
    "yuv422": image_message(UYVY, encoding="yuv422"),
    "yuv422_yuy2": image_message(YUYV, encoding="yuv422_yuy2"),
}


@pytest.mark.parametrize("message", ENCODINGS.values(), ids=ENCODINGS)
def test_encodings_of_one_picture_give_the_same_features(graph: Graph, message: Image) -> None:
    expected = features_from_cloud(graph.send(image_message(gray, stamp=1.0))[0])
    message.header.stamp.sec = 2
    features = features_from_cloud(graph.send(message)[0])
    np.testing.assert_array_equal(features.keypoints, expected.keypoints)


def test_bayer_image_is_processed(graph: Graph) -> None:
    assert graph.send(image_message(bayer, encoding="bayer_rggb8"))[0].width == 200


def test_constant_image_and_image_of_few_positions_do_not_stop_matching(graph: Graph) -> None:
    graph.send(image_message(np.full((120, 160), 128, np.uint8), stamp=1.0))
    graph.send(image_message(np.full((120, 160), 128, np.uint8), stamp=2.0))
    cloud, matches = graph.send(image_message(gray[:8, :9], stamp=3.0))
    assert (cloud.width, matches.width) == (6, 0)


def test_change_of_size_starts_new_tracks(graph: Graph) -> None:
    first, _ = graph.send(image_message(picture(), stamp=1.0))
    second, matches = graph.send(image_message(picture(128, 96), stamp=2.0))
    assert matches.width == 0
    assert not set(points_from_cloud(first)["track_id"]) & set(points_from_cloud(second)["track_id"])
    graph.wait_for_count("restarts")


def test_stamp_that_goes_back_starts_new_tracks(graph: Graph) -> None:
    graph.send(image_message(picture(), stamp=100.0))
    assert graph.send(image_message(picture(), stamp=50.0))[1].width == 0
    graph.wait_for_count("restarts")
    assert graph.send(image_message(picture(), stamp=51.0))[1].width > 100


def test_zero_stamp_is_processed_and_counted(graph: Graph) -> None:
    cloud, _ = graph.send(image_message(picture(), stamp=0.0))
    assert (cloud.header.stamp.sec, cloud.header.stamp.nanosec) == (0, 0)
    graph.wait_for_count("zero_stamps")


def test_overlay_is_drawn_only_while_someone_looks(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = outputs.draw_matches
    monkeypatch.setattr(outputs, "draw_matches", lambda *given: (drawn.append(1), draw(*given))[1])
    graph.send(image_message(picture(), stamp=1.0))
    assert not drawn
    overlays: list[Image] = []
    graph.peer.create_subscription(Image, "/silk/image_overlay", overlays.append, QoSProfile(depth=2))
    graph.spin_until(lambda: overlays, lambda: graph.images.publish(image_message(picture(), stamp=2.0)))
    assert (overlays[0].encoding, overlays[0].width, overlays[0].height) == ("bgr8", 160, 120)
    assert overlays[0].header.stamp.sec == 2


def test_reset_forgets_the_previous_frame(graph: Graph) -> None:
    graph.deliver(image_message(picture(), stamp=1.0), "/image_raw")  # once: no repeat follows the reset
    assert graph.call(Trigger, "/silk/reset", Trigger.Request()).success
    assert graph.send(image_message(picture(), stamp=2.0))[1].width == 0


def test_disabled_node_ignores_images_until_enabled(graph: Graph) -> None:
    graph.send(image_message(picture(), stamp=1.0))
    assert graph.call(SetBool, "/silk/enable", SetBool.Request(data=False)).success
    count = len(graph.features)
    end = time.monotonic() + 1
    graph.spin_until(lambda: time.monotonic() > end, lambda: graph.images.publish(image_message(picture(), stamp=2.0)))
    assert len(graph.features) == count and "disabled" in graph.summary
    assert graph.call(SetBool, "/silk/enable", SetBool.Request(data=True)).success
    assert graph.send(image_message(picture(), stamp=3.0))[1].width == 0


def test_newest_frame_is_processed_and_the_others_are_counted_as_dropped(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = graph.node._worker.configuration.extractor.backend.extract

    def slow_extract(image: np.ndarray) -> object:
        time.sleep(0.5)
        return extract(image)

    monkeypatch.setattr(graph.node._worker.configuration.extractor.backend, "extract", slow_extract)
    stamps = iter(range(1, 10_000))
    graph.wait_for_count(
        "dropped_frames", lambda: graph.images.publish(image_message(picture(), stamp=next(stamps))), least=5
    )
    graph.drain(1.5)
    seen = [cloud.header.stamp.sec for cloud in graph.features]
    assert seen == sorted(seen)
    assert int(graph.diagnostics["dropped_frames"]) + int(graph.diagnostics["processed_frames"]) == int(
        graph.diagnostics["received_frames"]
    )


def test_silence_is_reported_with_the_topic_its_publishers_and_their_qos(
    make_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph(no_data_timeout=0.5, image_reliability="reliable")
    warnings: list[str] = []
    monkeypatch.setattr(graph.node._problems, "_log", warnings.append)
    graph.spin_until(lambda: any("/image_raw" in text and "peer" in text for text in warnings))
    assert "BEST_EFFORT" in warnings[-1] and "RELIABLE" in warnings[-1]
    graph.spin_until(lambda: graph.summary.startswith("no image"))


def test_qos_of_the_images_can_be_overridden(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"qos_overrides./image_raw.subscription.reliability": "reliable"})
    (endpoint,) = graph.peer.get_subscriptions_info_by_topic("/image_raw")
    assert endpoint.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_diagnostics_name_the_backend_and_measure_latency(graph: Graph) -> None:
    def send_now() -> None:
        now = graph.peer.get_clock().now().nanoseconds / 1e9
        graph.images.publish(image_message(picture(), stamp=now))

    graph.wait_for_count("processed_frames", send_now, least=3)
    best = select_backend("auto", "auto", default_model(), 10)
    assert (graph.diagnostics["backend"], graph.diagnostics["precision"]) == (best.name, best.precision)
    assert graph.diagnostics["precision_reason"] == best.reason
    assert graph.diagnostics["keypoints"] == "200"
    assert 0 < float(graph.diagnostics["latency_p50_ms"]) <= float(graph.diagnostics["latency_p99_ms"]) < 5000


def test_frames_are_accounted_for_while_the_node_is_disabled(graph: Graph) -> None:
    assert graph.call(SetBool, "/silk/enable", SetBool.Request(data=False)).success
    graph.wait_for_count("ignored_frames", lambda: graph.images.publish(image_message(picture())), least=3)
    assert graph.diagnostics["processed_frames"] == "0"


def test_stamp_before_the_epoch_is_processed(graph: Graph) -> None:
    message = image_message(picture())
    message.header.stamp.sec = -5
    assert graph.send(message)[0].header.stamp.sec == -5
    assert graph.diagnostics.get("rejected_images", "0") == "0"


def test_too_many_drops_are_warned_of_once(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(drop_warning, "WINDOW", 0.5)
    graph.node._drops = DropWatch(said.append)
    backend = graph.node._worker.configuration.extractor.backend
    extract = backend.extract
    monkeypatch.setattr(backend, "extract", lambda image: (time.sleep(0.2), extract(image))[1])
    graph.spin_until(lambda: said, lambda: graph.images.publish(image_message(picture())), period=0.02)
    assert "images of the last" in said[0] and "--size 160x120' finds settings that it holds" in said[0]


def test_the_file_that_benchmark_writes_sets_the_node(
    spawn: Callable[..., subprocess.Popen[str]], peer: Peer, tmp_path: Path
) -> None:
    file = tmp_path / "silk_30hz.yaml"
    file.write_text(params_file(Candidate(0.4, 123, "fp32", 0.0625, 0.5, 1), CameraLoad(30, 160, 120)))
    process = spawn("silk_node", "--ros-args", "--params-file", str(file))
    peer.wait_for_node()
    features, _ = peer.send(image_message(picture()))
    assert features.width == 123 and peer.diagnostics["precision"] == "fp32"
    process.terminate()
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
