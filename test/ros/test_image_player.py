from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

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
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from silk_ros.geometry.camera import camera_from_message
from silk_ros.geometry.stereo_geometry import StereoGeometry
from silk_ros.images.source import Source, SourceImage
from silk_ros.images.sources import open_source
from silk_ros.ros.front_end.images import gray_from_compressed
from silk_ros.ros.image_player import ImagePlayer
from silk_ros.ros.messages import stamp_nanoseconds

CALIBRATION = """
image_width: 320
image_height: 240
camera_name: test
camera_matrix: {rows: 3, cols: 3, data: [200.0, 0, 159.5, 0, 200.0, 119.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0.0, 0.0, 0.0, 0.0]}
rectification_matrix: {rows: 3, cols: 3, data: [0, 1, 0, -1, 0, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [190.0, 0, 159.5, -19.0, 0, 190.0, 119.5, 0, 0, 0, 1, 0]}
"""


class Listener:
    """Hears everything that a player publishes, for one camera."""

    def __init__(self, context: Context, prefix: str = "") -> None:
        self.node = rclpy.create_node(f"{prefix.strip('/')}listener", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.poses: list[PoseStamped] = []
        self.compressed: list[CompressedImage] = []
        for kind, topic, heard in (
            (Image, "image_raw", self.images),
            (CompressedImage, "image_raw/compressed", self.compressed),
            (CameraInfo, "camera_info", self.infos),
        ):
            self.node.create_subscription(kind, f"{prefix}{topic}", heard.append, qos_profile_sensor_data)
        self.node.create_subscription(PoseStamped, "ground_truth", self.poses.append, 10)

    def spin_until(self, condition: Callable[[], object]) -> None:
        end = self.node.get_clock().now().nanoseconds + DEADLINE * 1e9
        while not condition():
            assert self.node.get_clock().now().nanoseconds < end
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def listen(context: Context) -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def make(prefix: str = "") -> Listener:
        listeners.append(Listener(context, prefix))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.close()


@pytest.fixture
def listener(listen: Callable[..., Listener]) -> Listener:
    return listen()


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


class Listed(Source):
    """Images that it is given, at a rate that it is given."""

    def __init__(self, rate: float, images: list[SourceImage]) -> None:
        super().__init__("listed")
        self.rate, self.images = rate, images

    def _read(self) -> Iterator[SourceImage]:
        yield from self.images


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
    assert listener.infos[0].r.tolist() == [0, 1, 0, -1, 0, 0, 0, 0, 1]
    assert (listener.infos[0].p[0], listener.infos[0].p[3]) == (190, -19)


def test_without_loop_the_player_ends_and_says_nothing_is_wrong(
    play: Callable[..., ImagePlayer], context: Context, image_folder: Path
) -> None:
    player = play(source=str(image_folder), loop=False)
    player._thread.join(DEADLINE)
    assert not context.ok() and player.failure == ""


def test_an_unreadable_image_is_left_out(
    play: Callable[..., ImagePlayer], listener: Listener, image_folder: Path
) -> None:
    (image_folder / "005.png").write_bytes(b"not a picture")
    count = len(list(image_folder.iterdir())) - 1
    player = play(source=str(image_folder), wait=True, reliability="reliable")
    listener.spin_until(lambda: len(listener.images) > count)
    assert len({array(message).tobytes() for message in listener.images[:count]}) == count
    np.testing.assert_array_equal(array(listener.images[count]), array(listener.images[0]))
    assert player.failure == ""


def test_a_source_without_readable_images_ends_the_player_with_the_reason(
    play: Callable[..., ImagePlayer], context: Context, image_folder: Path
) -> None:
    for path in image_folder.iterdir():
        path.write_bytes(b"not a picture")
    player = play(source=str(image_folder))
    player._thread.join(DEADLINE)
    assert not context.ok() and "000.png" in player.failure


def test_gaps_of_a_recording_are_played(
    play: Callable[..., ImagePlayer], listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0, 0.05, 0.1, 1.6, 1.65, 1.7]
    images = [SourceImage.from_array(picture(), stamp=round(1e9 * (5 + second))) for second in seconds]
    monkeypatch.setattr("silk_ros.ros.image_player.open_source", lambda *_: Listed(20.0, images))
    play(source="listed", rate=0.0, wait=True, reliability="reliable")
    listener.spin_until(lambda: len(listener.images) >= len(images))
    played = [stamp_nanoseconds(message.header.stamp) for message in listener.images[: len(images)]]
    assert (played[3] - played[2]) / 1e9 > 1.4


def test_colour_folder_is_published_as_bgr8(
    play: Callable[..., ImagePlayer], listener: Listener, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([picture()] * 3))
    play(source=str(tmp_path))
    listener.spin_until(lambda: listener.images)
    assert (listener.images[0].encoding, listener.images[0].step) == ("bgr8", 3 * 160)


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


def stamps(messages: list) -> set[int]:
    return {stamp_nanoseconds(message.header.stamp) for message in messages}


@pytest.fixture
def stereo_folder(tmp_path: Path) -> Path:
    """One scene of which the right camera sees 4 px less on the left."""
    for name, shift in (("image_0", 0), ("image_1", 4)):
        (tmp_path / name).mkdir()
        for index in range(5):
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), picture(shift=index + shift))
    (tmp_path / "calib.txt").write_text(
        "P0: 100 0 79.5 0 0 100 59.5 0 0 0 1 0\nP1: 100 0 79.5 -50 0 100 59.5 0 0 0 1 0\n"
    )
    (tmp_path / "poses.txt").write_text("\n".join(f"1 0 0 {index} 0 1 0 0 0 0 1 0" for index in range(5)))
    return tmp_path


def test_stereo_pairs_come_from_two_calibrated_cameras_with_equal_stamps(
    play: Callable[..., ImagePlayer], listen: Callable[..., Listener], stereo_folder: Path
) -> None:
    left, right = listen("left/"), listen("right/")
    left.executor.add_node(right.node)
    play(source=str(stereo_folder))
    left.spin_until(lambda: len(stamps(left.images) & stamps(right.images) & stamps(left.poses)) > 2)
    stamp = min(stamps(left.images) & stamps(right.images))
    pair = [next(m for m in side.images if stamp_nanoseconds(m.header.stamp) == stamp) for side in (left, right)]
    np.testing.assert_array_equal(array(pair[0])[:, 4:-4], array(pair[1])[:, :-8])
    assert [message.header.frame_id for message in pair] == ["camera_left", "camera_right"]
    geometry = StereoGeometry(camera_from_message(left.infos[0]), camera_from_message(right.infos[0]))
    assert geometry.baseline == pytest.approx(0.5)
    assert {pose.header.frame_id for pose in left.poses} == {"world"}


def test_one_calibration_for_two_cameras_is_refused(
    play: Callable[..., ImagePlayer], stereo_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "camera.yaml"
    file.write_text(CALIBRATION)
    with pytest.raises(ValueError, match=r"put a calib.txt with the rows P0 and P1 into the stereo folder"):
        play(source=str(stereo_folder), camera_info_file=str(file))


def test_compressed_images_are_those_of_the_source(
    play: Callable[..., ImagePlayer], listener: Listener, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([picture()] * 3))
    play(source=str(tmp_path), transport="compressed")
    listener.spin_until(lambda: listener.compressed)
    image = gray_from_compressed(listener.compressed[0])
    assert np.abs(image.astype(float) - picture()).mean() < 2
    assert "jpeg" in listener.compressed[0].format and not listener.images


def test_player_that_waits_sends_its_first_image_when_somebody_listens(context: Context, image_folder: Path) -> None:
    parameters = {"source": str(image_folder), "wait": True, "rate": 20.0, "reliability": "reliable"}
    player = ImagePlayer(context=context, parameter_overrides=[Parameter(k, value=v) for k, v in parameters.items()])
    listener = rclpy.create_node("late", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    images: list[Image] = []
    try:
        sleep(1.0)  # long enough to lose images, if it did not wait
        listener.create_subscription(Image, "image_raw", images.append, 10)
        end = monotonic() + DEADLINE
        while not images and monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
    finally:
        player.stop()
        player.destroy_node()
        executor.shutdown()
        listener.destroy_node()
    assert bytes(images[0].data) == picture(320, 240).tobytes()  # the first one of the folder


def test_in_lock_step_each_image_waits_for_the_answer_to_the_last(
    play: Callable[..., ImagePlayer], listener: Listener, image_folder: Path, context: Context
) -> None:
    answers = listener.node.create_publisher(Header, "/image_player/next", 10)
    player = play(source=str(image_folder), step=True, wait=True, loop=False, reliability="reliable", rate=4.0)
    listener.executor.add_node(player)
    count = len(list(image_folder.iterdir()))
    listener.spin_until(lambda: listener.images)

    def send(answer: Header, end: Callable[[], object]) -> None:
        """Repeat an answer, as the player may not know of its publisher at once, until something has come."""
        deadline = monotonic() + DEADLINE
        while not end() and monotonic() < deadline:
            answers.publish(answer)
            listener.executor.spin_once(timeout_sec=0.02)

    for number in range(1, count):
        answer = Header(stamp=listener.images[-1].header.stamp)
        wrong = deepcopy(answer)
        wrong.stamp.nanosec += 1
        soon = monotonic() + 0.2
        send(wrong, lambda soon=soon: monotonic() > soon)
        assert len(listener.images) == number
        send(answer, lambda number=number: len(listener.images) > number)
    nominal = 10**9 + 250_000_000 * np.arange(count)  # whatever time it took
    assert [stamp_nanoseconds(message.header.stamp) for message in listener.images] == nominal.tolist()
    player._lock_step._on_next(Header(stamp=listener.images[-1].header.stamp))  # nothing spins while the context ends
    player._thread.join(DEADLINE)
    assert not context.ok() and player.failure == ""


def test_lock_step_has_the_stamps_of_the_source_and_does_not_wait_for_half_a_pair(
    play: Callable[..., ImagePlayer], listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = [5_000_000_000, 5_050_000_000, 5_300_000_000]
    images = [SourceImage.from_array(picture(), stamp=stamp) for stamp in recorded]
    images[2] = replace(images[2], right=images[2])
    source = Listed(20.0, images)
    source.stereo = True
    monkeypatch.setattr("silk_ros.ros.image_player.open_source", lambda *_: source)
    left, right = listen("left/"), listen("right/")
    left.executor.add_node(right.node)
    play(source="listed", rate=0.0, step=True, wait=True, reliability="reliable")
    left.spin_until(lambda: right.images and len(left.images) == len(recorded))
    assert [stamp_nanoseconds(message.header.stamp) for message in left.images] == recorded
