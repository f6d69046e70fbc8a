"""The presets: their parameters, and what a node that starts with them publishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import ROOT, Peer, camera_info, image_message
from sensor_msgs.msg import PointCloud
from skimage import data

from silk_ros.parameters.declarations import check_change
from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.parameters.given import read_parameter_file
from silk_ros.parameters.settings import settings_with
from silk_ros.ros.messages import points_from_cloud

PRESETS = ROOT / "config" / "presets"
FILES = {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}
DECLARED = {declaration.name: declaration for declaration in DECLARATIONS}
IMAGE = data.camera()  # (512, 512)


def test_every_preset_has_a_page_or_is_for_a_node_of_ours() -> None:
    assert set(FILES) == {"orb_slam", "vins", "odometry"}
    for preset, path in FILES.items():
        page = ROOT / "docs" / f"{preset}.md"
        assert f"preset:={preset}" in page.read_text(encoding="utf-8")
        assert f"preset:={preset}" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("preset", FILES)
def test_a_preset_holds_declared_parameters_with_values_that_fit(preset: str) -> None:
    values = read_parameter_file(FILES[preset])
    for name, value in values.items():
        check_change(DECLARED[name], value, active=False)
    settings_with(values)


@pytest.fixture
def start(spawn: Callable[..., Any], peer: Peer) -> Callable[..., Peer]:
    """A node that a user starts with parameter files and parameters, and the camera and listener around it."""

    def run(*files: Path, **parameters: object) -> Peer:
        arguments = [argument for file in files for argument in ("--params-file", str(file))]
        for name, value in {"diagnostics_period": 0.2, **parameters}.items():
            arguments += ["-p", f"{name}:={value}"]
        spawn("silk_node", "--ros-args", *arguments)
        peer.wait_for_node()
        return peer

    return run


def test_orb_slam_gets_2000_codes_that_keep_the_border_free(start: Callable[..., Peer]) -> None:
    cloud, _ = start(FILES["orb_slam"]).send(image_message(IMAGE))
    points = points_from_cloud(cloud)
    assert len(points) == 2000 and points.dtype["descriptor"] == np.dtype((np.uint8, 32))
    pixels = np.stack([points["u"], points["v"]], axis=1)
    assert pixels.min() >= 19 and pixels.max() <= 511 - 19
    assert len(np.unique(pixels // 32, axis=0)) > 0.9 * (512 / 32) ** 2


def test_vins_gets_tracks_that_keep_their_distance(start: Callable[..., Peer]) -> None:
    peer = start(FILES["vins"])
    received: list[PointCloud] = []
    peer.peer.create_subscription(PointCloud, "silk/tracks", received.append, 10)
    info = camera_info(512, 512, 500.0)
    stamps = iter(range(1, 1000))

    def send() -> None:
        peer.infos.publish(info)
        peer.images.publish(image_message(np.roll(IMAGE, 2, axis=1), stamp=float(next(stamps))))

    peer.spin_until(lambda: any(tracks.points for tracks in received), send, period=0.5)
    tracks = next(tracks for tracks in received if tracks.points)
    assert 100 < len(tracks.points) <= 300
    u, v = (np.array(channel.values) for channel in tracks.channels[1:3])
    distances = np.hypot(u[:, None] - u, v[:, None] - v)[~np.eye(len(u), dtype=bool)]
    assert distances.min() >= read_parameter_file(FILES["vins"])["tracks.min_distance"] - 1e-3
    assert [channel.name for channel in tracks.channels] == ["id", "u", "v", "velocity_x", "velocity_y"]


def test_odometry_gets_floats(start: Callable[..., Peer]) -> None:
    cloud, _ = start(FILES["odometry"]).send(image_message(IMAGE))
    assert cloud.width == 5000 and points_from_cloud(cloud).dtype["descriptor"] == np.dtype((np.float32, 32))


def test_a_file_and_arguments_of_the_user_win_over_the_preset(start: Callable[..., Peer], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("silk:\n  ros__parameters:\n    max_keypoints: 300\n    selection: {border: 40.0}\n")
    cloud, _ = start(ROOT / "config" / "silk.yaml", FILES["orb_slam"], own, descriptor_format="float16").send(
        image_message(IMAGE)
    )
    points = points_from_cloud(cloud)
    assert len(points) == 300 and points.dtype["descriptor"] == np.dtype((np.uint16, 32))
    assert min(points["u"].min(), points["v"].min()) >= 40
