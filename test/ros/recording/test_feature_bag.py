from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from harness import picture
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import PointCloud, PointCloud2
from std_msgs.msg import Header

from silk_ros.commands.run_sequence import main
from silk_ros.images.sequence import FIRST_STAMP
from silk_ros.images.source import DEFAULT_RATE
from silk_ros.ros.messages import (
    feature_dtype,
    features_from_cloud,
    image_message,
    matches_from_cloud,
    points_from_cloud,
)
from silk_ros.ros.recording.recorder import Recorder


def test_a_folder_becomes_a_bag_of_the_nodes_clouds(image_folder: Path, tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    arguments = ["--format", "bag", "--max-keypoints", "300", "--scale", "1", "--every", "4"]
    assert main([str(image_folder), "--output", str(bag), "--camera", "200,200,159.5,119.5", *arguments]) == 0
    clouds: dict[str, list[PointCloud2]] = {}
    with AnyReader([bag]) as reader:
        for connection, nanoseconds, raw in reader.messages():
            cloud = deserialize_message(raw, PointCloud if connection.topic == "/silk/tracks" else PointCloud2)
            assert cloud.header.stamp.sec * 10**9 + cloud.header.stamp.nanosec == nanoseconds
            assert cloud.header.frame_id == "camera"
            clouds.setdefault(connection.topic, []).append(cloud)
    features, matches = clouds["/silk/features"], clouds["/silk/matches"]
    assert len(features) == len(matches) == 3  # of ten images
    first = points_from_cloud(features[0])
    assert first.dtype == feature_dtype(np.dtype(np.float32), 32) and len(first) == 300
    np.testing.assert_allclose(first["x"], (first["u"] - 159.5) / 200, atol=1e-6)
    assert features[1].header.stamp.nanosec == (FIRST_STAMP + round(4e9 / DEFAULT_RATE)) % 10**9
    # Rows of the match cloud are rows of the feature clouds of this image and the one before it.
    now, before = (features_from_cloud(cloud) for cloud in (features[1], features[0]))
    rows = matches_from_cloud(matches[1]).indices
    shifts = now.keypoints[rows[:, 0]] - before.keypoints[rows[:, 1]]
    assert len(matches_from_cloud(matches[0])) == 0
    assert len(rows) > 100 and np.abs(np.median(shifts, axis=0)).tolist() == [12, 0]
    assert points_from_cloud(matches[1])["prev_sec"][0] == FIRST_STAMP // 10**9


def test_stamps_and_frames_of_a_recording_are_kept(image_folder: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recording")
    for index in range(2):
        header = Header(stamp=Time(sec=1_700_000_000, nanosec=123 + index), frame_id="left")
        message = image_message(header, picture(64, 48), 48, "mono8", width=64)
        recorder.write("/left/image_raw", message, 1_800_000_000 * 10**9 + index)  # received later
    recorder.close()
    arguments = ["--output", str(tmp_path / "bag"), "--format", "bag", "--scale", "1"]
    assert main([str(tmp_path / "recording"), *arguments]) == 0
    with AnyReader([tmp_path / "bag"]) as reader:
        headers = [deserialize_message(raw, PointCloud2).header for _, _, raw in reader.messages()]
    assert {header.frame_id for header in headers} == {"left"}
    assert [header.stamp.nanosec for header in headers] == [123, 123, 124, 124]
    assert {header.stamp.sec for header in headers} == {1_700_000_000}


def test_a_folder_of_stereo_pairs_has_a_stereo_cloud_for_each(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs"
    for side, start in (("image_0", 0), ("image_1", 6)):  # 6 pixels of disparity
        (pairs / side).mkdir(parents=True)
        for path in sorted(image_folder.iterdir())[:2]:
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            cv2.imwrite(str(pairs / side / f"{path.stem}.png"), image[:, start : start + 300])
    matrix = "200 0 150 {} 0 200 120 0 0 0 1 0"
    (pairs / "calib.txt").write_text(f"P0: {matrix.format(0)}\nP1: {matrix.format(-20)}\n")  # 10 cm
    arguments = ["--output", str(tmp_path / "bag"), "--format", "bag", "--scale", "1", "--max-keypoints", "300"]
    assert main([str(pairs), *arguments]) == 0
    with AnyReader([tmp_path / "bag"]) as reader:
        raws = [raw for connection, _, raw in reader.messages() if connection.topic == "/silk/stereo_matches"]
    clouds = [points_from_cloud(deserialize_message(raw, PointCloud2)) for raw in raws]
    assert len(clouds) == 2
    for points in clouds:
        assert len(points) > 100 and np.median(points["disparity"]) == 6
        np.testing.assert_allclose(np.median(points["z"]), 200 * 0.1 / 6, rtol=1e-5)
    # A calibration of no pair is refused.
    (pairs / "calib.txt").write_text(f"P0: {matrix.format(0)}\nP1: {matrix.format(0)}\n")
    assert main([str(pairs), *arguments[:1], str(tmp_path / "other"), *arguments[2:]]) == 1
    assert "P1" in capsys.readouterr().err and not (tmp_path / "other").exists()


def recorded_bag(path: Path, frame_ids: list[str]) -> Path:
    """A recording of one topic with images of these frame_ids; those of one frame_id show the same."""
    recorder = Recorder(path)
    for index, frame_id in enumerate(frame_ids):
        header = Header(stamp=Time(sec=100 + index), frame_id=frame_id)
        view = picture(160, 120, shift=60 * (frame_id == frame_ids[0]))
        recorder.write("/image_raw", image_message(header, view, 120, "mono8", width=160), (100 + index) * 10**9)
    recorder.close()
    return path


@pytest.mark.parametrize("frame_ids", [["front", "rear"] * 3, ["", "rear"] * 3, ["front"] * 3 + ["rear"] * 3])
def test_cameras_of_one_recorded_topic_have_tracks_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], frame_ids: list[str]
) -> None:
    recording = recorded_bag(tmp_path / "recording", frame_ids)
    arguments = ["--output", str(tmp_path / "bag"), "--format", "bag", "--scale", "1", "--max-keypoints", "200"]
    assert main([str(recording), *arguments]) == 0
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "several cameras" in line]
    second = frame_ids.index("rear")
    assert said.endswith(f"frame_id {frame_ids[0]!r} from image 0 and 'rear' from image {second}")
    seconds: dict[str, list[int]] = {}
    with AnyReader([tmp_path / "bag"]) as reader:
        raws = [raw for connection, _, raw in reader.messages() if connection.topic == "/silk/matches"]
    for raw in raws:
        cloud = deserialize_message(raw, PointCloud2)
        before, points = seconds.setdefault(cloud.header.frame_id, []), points_from_cloud(cloud)
        assert len(points) > 150 if before else not len(points)
        assert set(points["prev_sec"].tolist()) <= set(before[-1:])
        before.append(cloud.header.stamp.sec)
    assert sorted(map(len, seconds.values())) == [3, 3]


def write_images(folder: Path, *stamps: float, small: int = -1) -> Path:
    """A recording of an image for each stamp in seconds; the one of the index `small` has 4x4 pixels."""
    recorder = Recorder(folder)
    for index, stamp in enumerate(stamps):
        header = Header(stamp=Time(sec=int(stamp), nanosec=round(stamp % 1 * 1e9)), frame_id="camera")
        width, height = (4, 4) if index == small else (64, 48)
        message = image_message(header, picture(width, height), height, "mono8", width=width)
        recorder.write("/image_raw", message, 1_800_000_000 * 10**9 + index)
    recorder.close()
    return folder


def test_a_stamp_that_goes_back_starts_new_tracks_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = write_images(tmp_path / "recording", 5, 6, 5.5, 7)
    assert main([str(recording), "--output", str(tmp_path / "bag"), "--format", "bag", "--scale", "1"]) == 0
    said = capsys.readouterr().err
    assert "the tracks start again at 1 of 4 images, first at image 2: stamp went back by 0.500 s" in said


@pytest.mark.parametrize("small", [0, 2])
def test_images_below_the_receptive_field_are_left_out(
    tmp_path: Path, small: int, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = write_images(tmp_path / "recording", 5, 6, 7, 8, small=small)
    assert main([str(recording), "--output", str(tmp_path / "bag"), "--format", "bag", "--scale", "1"]) == 0
    printed = capsys.readouterr()
    assert f"one image was left out: image {small}: an image of 4x4 pixels is smaller" in printed.err
    assert "features and matches of 3 images" in printed.out


def test_a_recording_of_small_images_only_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = write_images(tmp_path / "recording", 5, small=0)
    assert main([str(recording), "--output", str(tmp_path / "bag"), "--format", "bag", "--scale", "1"]) == 1
    assert "image 0: an image of 4x4 pixels is smaller than the receptive field" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()
