from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from harness import DEADLINE, picture
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from silk_ros.flight import SyntheticFlight
from silk_ros.ros.image_player import ImagePlayer, read_calibration
from silk_ros.ros.messages import pose_message, transform_from_pose
from silk_ros.sources import FolderSource, open_source

CALIBRATION = """
image_width: 320
image_height: 240
camera_name: test
camera_matrix: {rows: 3, cols: 3, data: [200.0, 0, 159.5, 0, 200.0, 119.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0.0, 0.0, 0.0, 0.0]}
"""


class Listener:
    """Hears everything that a player publishes."""

    def __init__(self, context: Context) -> None:
        self.node = rclpy.create_node("listener", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.poses: list[PoseStamped] = []
        self.node.create_subscription(Image, "image_raw", self.images.append, qos_profile_sensor_data)
        self.node.create_subscription(CameraInfo, "camera_info", self.infos.append, qos_profile_sensor_data)
        self.node.create_subscription(PoseStamped, "ground_truth", self.poses.append, 10)

    def spin_until(self, condition: Callable[[], object]) -> None:
        end = self.node.get_clock().now().nanoseconds + DEADLINE * 1e9
        while not condition():
            assert self.node.get_clock().now().nanoseconds < end
            self.executor.spin_once(timeout_sec=0.02)


@pytest.fixture
def listener(context: Context) -> Listener:
    return Listener(context)


@pytest.fixture
def play(context: Context, listener: Listener) -> Iterator[Callable[..., ImagePlayer]]:
    players = []

    def start(**parameters: object) -> ImagePlayer:
        overrides = [Parameter(name, value=value) for name, value in {"rate": 50.0, **parameters}.items()]
        players.append(ImagePlayer(context=context, parameter_overrides=overrides))
        return players[-1]

    yield start
    for player in players:
        player.stop()
        player.destroy_node()


def array(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def test_folder_is_played_in_order_and_again(
    play: Callable[..., ImagePlayer], listener: Listener, image_folder: Path
) -> None:
    play(source=str(image_folder), frame_id="left")
    listener.spin_until(lambda: len(listener.images) > 25)
    frames = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(image_folder.iterdir())]
    order = [
        next(i for i, frame in enumerate(frames) if (frame == array(message)).all()) for message in listener.images
    ]
    assert all((after - before) % len(frames) == 1 for before, after in itertools.pairwise(order))
    assert listener.images[0].header.frame_id == "left" and not listener.infos
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec / 1e9 for message in listener.images]
    assert np.median(np.diff(stamps)) == pytest.approx(0.02, rel=0.5)


def test_flight_comes_with_poses_and_intrinsics_of_the_same_stamp(
    play: Callable[..., ImagePlayer], listener: Listener
) -> None:
    play(source="flight", rate=10.0)
    listener.spin_until(lambda: len(listener.images) > 3 and len(listener.poses) > 3 and listener.infos)
    stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in listener.poses}
    assert sum((m.header.stamp.sec, m.header.stamp.nanosec) in stamps for m in listener.images) >= 2
    assert (listener.infos[0].width, listener.images[0].width, listener.images[0].encoding) == (640, 640, "mono8")


def test_pose_messages_carry_the_exact_transform() -> None:
    flight = SyntheticFlight()
    for time in (0.0, 3.3, 17.0):
        np.testing.assert_allclose(transform_from_pose(pose_message(flight.pose(time))), flight.pose(time), atol=1e-9)
    np.testing.assert_allclose(transform_from_pose(pose_message(np.eye(4))), np.eye(4), atol=1e-12)


def test_calibration_file_becomes_camera_info(
    play: Callable[..., ImagePlayer], listener: Listener, image_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(CALIBRATION)
    play(source=str(image_folder), camera_info_file=str(file))
    listener.spin_until(lambda: listener.infos)
    assert (listener.infos[0].k[0], listener.infos[0].d[0], listener.infos[0].distortion_model) == (
        200.0,
        0.1,
        "plumb_bob",
    )


@pytest.mark.parametrize("text", ["just text", "image_width: 3", "{unbalanced"])
def test_foreign_calibration_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match="not a camera calibration"):
        read_calibration(file)


def test_without_loop_the_player_ends_and_says_nothing_is_wrong(
    play: Callable[..., ImagePlayer], context: Context, image_folder: Path
) -> None:
    player = play(source=str(image_folder), loop=False)
    player._thread.join(DEADLINE)
    assert not context.ok() and player.failure == ""


def test_unreadable_image_ends_the_player_with_its_name(
    play: Callable[..., ImagePlayer], context: Context, image_folder: Path
) -> None:
    (image_folder / "005.png").write_bytes(b"not a picture")
    player = play(source=str(image_folder))
    player._thread.join(DEADLINE)
    assert not context.ok() and "005.png" in player.failure


def test_colour_folder_is_published_as_bgr8(
    play: Callable[..., ImagePlayer], listener: Listener, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([picture()] * 3))
    play(source=str(tmp_path))
    listener.spin_until(lambda: listener.images)
    assert (listener.images[0].encoding, listener.images[0].step) == ("bgr8", 3 * 160)


def test_source_without_images_ends_the_player_with_the_reason(
    play: Callable[..., ImagePlayer], context: Context, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderSource, "__iter__", lambda self: iter(()))
    player = play(source=str(image_folder))
    player._thread.join(DEADLINE)
    assert not context.ok() and "no image" in player.failure


def test_what_is_published_can_be_recorded_and_played_again(
    play: Callable[..., ImagePlayer], image_folder: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "recording"
    player = play(source=str(image_folder), loop=False, record=str(recording))
    player._thread.join(DEADLINE)
    paths = sorted(image_folder.iterdir())
    frames = list(open_source(str(recording)))
    assert len(frames) == len(paths)
    for frame, path in zip(frames, paths):
        assert np.array_equal(frame.data, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).ravel())


def test_a_recording_is_not_overwritten(play: Callable[..., ImagePlayer], image_folder: Path) -> None:
    with pytest.raises(FileExistsError, match="choose another folder"):
        play(source=str(image_folder), record=str(image_folder))
