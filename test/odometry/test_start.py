from typing import Any

import numpy as np
import pytest

from silk_ros.geometry.motion import motion_between, rotation_angle
from silk_ros.odometry.observations import observations_of
from silk_ros.odometry.start import Start
from silk_ros.odometry.two_view import two_view_motions
from silk_ros.odometry.window import Window


def start(room: Any, clouds: list[Any], speed: float = 0.0) -> tuple[Window | None, int]:
    """The window, and the number of the frame that gives it."""
    beginning = Start(400.0, speed)
    for number, cloud in enumerate(clouds):
        now, before = observations_of(cloud.stamp, cloud.matches, room.camera)
        if number == 1:
            beginning.add(before, np.eye(4))
        if number and (window := beginning.add(now, np.eye(4))) is not None:
            return window, number
    return None, len(clouds)


def errors(pose: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Degrees between two rotations, and between the directions of two translations."""
    cosine = pose[:3, 3] @ true[:3, 3] / np.linalg.norm(pose[:3, 3]) / np.linalg.norm(true[:3, 3])
    return float(rotation_angle(motion_between(pose, true))), float(np.degrees(np.arccos(min(cosine, 1))))


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_true_motion_is_chosen(room: Any, turn: float, seed: int) -> None:
    clouds = room.clouds(room.path(40, turn=turn), noise=0.3, wrong=0.05, seed=seed)
    window, number = start(room, clouds)
    assert window is not None and number < 25
    turned, aside = errors(window.newest.pose, clouds[number].pose)
    assert turned < 1 and aside < 8


@pytest.mark.parametrize("seed", range(5))
def test_a_plane_leaves_two_motions_and_the_right_one_is_taken(hall: Any, seed: int) -> None:
    # All that is seen is one wall, 2 m below a camera that looks down and goes sideways, as a drone does.
    down = np.eye(4)
    down[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    clouds = hall.clouds(down @ hall.path(40, turn=0.5), noise=0.2, seed=seed)
    window, number = start(hall, clouds)
    if window is not None:
        true = np.linalg.inv(clouds[0].pose) @ clouds[number].pose
        turned, aside = errors(window.newest.pose, true)
        assert turned < 1 and aside < 8


@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_a_camera_that_does_not_move_gives_no_window(room: Any, turn: float) -> None:
    assert start(room, room.clouds(room.path(30, step=0.0, turn=turn), noise=0.5)) == (None, 30)


@pytest.mark.parametrize("speed, length", [(0.0, 1.0), (0.3, None)])
def test_the_speed_sets_the_scale(room: Any, speed: float, length: float | None) -> None:
    clouds = room.clouds(room.path(40, step=0.03))  # ten frames a second
    window, number = start(room, clouds, speed)
    assert window is not None
    expected = length or np.linalg.norm(clouds[number].pose[:3, 3])
    assert np.linalg.norm(window.newest.pose[:3, 3]) == pytest.approx(expected, rel=0.02)


def test_two_views_give_the_true_motion_among_others(room: Any) -> None:
    clouds = room.clouds(room.path(12), noise=0.2)
    tracks = room.ahead(300)
    first, last = (room.seen(clouds[number].pose, tracks, noise=0.2, seed=number) for number in (0, 11))
    motions = two_view_motions(first, last, 400.0)
    assert min(sum(errors(motion.pose, clouds[11].pose)) for motion in motions) < 3
    assert all(np.linalg.norm(motion.pose[:3, 3]) == pytest.approx(1) for motion in motions)
    assert not any(one.like(other) for one in motions for other in motions if one is not other)
