from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.flight import HEIGHT, LAP, ROOM, WIDTH, SyntheticFlight
from silk_ros.images.source import DEFAULT_RATE
from silk_ros.images.sources import open_source

TIMES = np.linspace(0, LAP, 101)


@pytest.fixture(scope="module")
def flight() -> SyntheticFlight:
    return SyntheticFlight()


def seen_from(flight: SyntheticFlight, time: float, other: float) -> NDArray[np.uint8]:
    """The image of time `other` warped to the camera of `time`, by the poses and the room's walls alone."""
    pose = flight.pose(time)
    pixels = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).reshape(-1, 2)
    directions = flight.camera.rays(pixels) @ pose[:3, :3].T
    distance = ((np.sign(directions) * ROOM - pose[:3, 3]) / directions).min(axis=1, keepdims=True)
    points = pose[:3, 3] + directions * distance
    to_other = np.linalg.inv(flight.pose(other))
    projected = (points @ to_other[:3, :3].T + to_other[:3, 3]) @ flight.camera.matrix.T
    target = (projected[:, :2] / projected[:, 2:]).reshape(HEIGHT, WIDTH, 2).astype(np.float32)
    return cv2.remap(flight.render(other), target, None, cv2.INTER_LINEAR)


def flow(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each corner of `a` lies from its place in `b`, in pixels."""
    corners = cv2.goodFeaturesToTrack(a, 500, 0.01, 8)
    found, status, _ = cv2.calcOpticalFlowPyrLK(a, b, corners, None, winSize=(15, 15))
    return (found - corners)[status.ravel() == 1, 0]


def test_depths_end_at_the_walls_and_the_pillars(flight: SyntheticFlight) -> None:
    pixels = np.random.default_rng(0).uniform([0, 0], [WIDTH - 1, HEIGHT - 1], (500, 2))
    on_walls = []
    for time in TIMES[:40]:
        pose, depths = flight.pose(time), flight.depths(time, pixels)
        points = flight.camera.rays(pixels) * depths[:, None] @ pose[:3, :3].T + pose[:3, 3]
        assert (depths > 0).all() and (np.abs(points) <= ROOM + 1e-3).all()
        on_walls.append(np.abs(points / ROOM).max(axis=1) > 1 - 1e-3)
    assert 0.5 < np.mean(on_walls) < 0.99


def test_poses_are_rigid(flight: SyntheticFlight) -> None:
    for pose in map(flight.pose, TIMES):
        rotation = pose[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert pose[3].tolist() == [0, 0, 0, 1]


def test_the_lap_is_closed_and_smooth(flight: SyntheticFlight) -> None:
    np.testing.assert_allclose(flight.pose(LAP), flight.pose(0), atol=1e-12)
    np.testing.assert_allclose(flight.pose(LAP + 7), flight.pose(7), atol=1e-12)
    positions = np.array([flight.pose(time)[:3, 3] for time in TIMES])
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert steps.min() > 0.02
    assert steps.max() < 0.3


def test_the_camera_stays_upright_and_in_the_room(flight: SyntheticFlight) -> None:
    for pose in map(flight.pose, TIMES):
        assert (np.abs(pose[:3, 3]) < ROOM - 0.2).all()
        assert pose[2, 1] < -0.9  # the camera's y points down, the world's z up


def test_intrinsics_belong_to_the_images(flight: SyntheticFlight) -> None:
    image = flight.render(1.0)
    assert (image.shape, image.dtype) == ((flight.camera.height, flight.camera.width), np.uint8)
    np.testing.assert_allclose(flight.camera.rays([[(WIDTH - 1) / 2, (HEIGHT - 1) / 2]]), [[0, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("time", [0.0, 5.0, 12.5, 20.0, 31.0])
def test_pose_and_picture_agree(flight: SyntheticFlight, time: float) -> None:
    error = flow(flight.render(time), seen_from(flight, time, time + 0.4))
    assert len(error) > 200
    assert np.median(np.linalg.norm(error, axis=1)) < 0.2
    np.testing.assert_allclose(np.median(error, axis=0), 0, atol=0.05)


def test_the_picture_moves_between_frames(flight: SyntheticFlight) -> None:
    assert np.median(np.linalg.norm(flow(flight.render(5.0), flight.render(5.1)), axis=1)) > 1


def test_every_picture_has_texture(flight: SyntheticFlight) -> None:
    for time in TIMES[::10]:
        assert flight.render(time).std() > 20


def test_flights_are_all_the_same(flight: SyntheticFlight) -> None:
    again = SyntheticFlight()
    for time in (0.0, 3.7):
        np.testing.assert_array_equal(again.render(time), flight.render(time))


def test_the_sensor_is_noisy(flight: SyntheticFlight) -> None:
    start, a_lap_later = flight.render(0.0).astype(int), flight.render(LAP).astype(int)
    assert 1 < (start - a_lap_later).std() < 5


def test_the_flight_knows_its_camera_and_poses() -> None:
    source = open_source("flight")
    first, second = itertools.islice(source, 2)
    assert (first.encoding, first.width, first.height, first.step) == ("mono8", 640, 480, 640)
    assert first.camera is not None
    assert first.pose is not None
    assert 0 < np.linalg.norm((second.pose - first.pose)[:3, 3]) < 0.2
    assert source.rate == DEFAULT_RATE
