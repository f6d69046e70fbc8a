"""The launch file, wherever ROS's launch packages are importable (they have no PyPI wheels)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ROOT, Peer
from rcl_interfaces.srv import GetParameters

REASON = "launch and launch_ros come with a ROS installation, which this machine lacks"
pytest.importorskip("launch", reason=REASON)
pytest.importorskip("launch_ros", reason=REASON)

RUN = f"""
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch import LaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
source = PythonLaunchDescriptionSource({str(ROOT / "launch" / "silk.launch.py")!r})
arguments = [argument.split(":=") for argument in sys.argv[1:]]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""


def launch(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output_until(process: subprocess.Popen[str], text: str, seconds: float = 30.0, times: int = 1) -> str:
    assert process.stdout is not None
    end, lines = time.monotonic() + seconds, ""
    while lines.count(text) < times and time.monotonic() < end and process.poll() is None:
        lines += process.stdout.readline()
    return lines


def test_launch_file_starts_the_node_with_its_arguments_and_ends_it_cleanly() -> None:
    process = launch("namespace:=robot", "backend:=onnxruntime", "precision:=int8", "log_level:=debug")
    try:
        said = output_until(process, "loaded in")
        assert "onnxruntime on CPU, int8" in said and "silk_vggnp_mu.onnx" in said
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert "finished cleanly" in rest and process.returncode == 0


def test_several_cameras_get_a_node_each_and_odometry_if_wanted() -> None:
    process = launch("namespace:=front,rear", "odometry:=true", "stereo:=exact")
    try:
        lines = output_until(process, "loaded in", times=2)
        assert "[front.silk]" in lines and "[rear.silk]" in lines
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    lines += rest
    assert lines.count("process started") == 4 and rest.count("finished cleanly") == 4 and process.returncode == 0


def test_preset_is_between_the_defaults_and_the_parameters_of_the_user(
    peer: Peer, domain_id: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
    own = tmp_path / "own.yaml"
    own.write_text("/**:\n  ros__parameters:\n    max_keypoints: 300\n    backend: openvino\n")
    process = launch("preset:=orb_slam", f"params_file:={own}", "backend:=onnxruntime")
    try:
        assert "loaded in" in output_until(process, "loaded in")
        names = ["max_keypoints", "backend", "selection.cell_size", "descriptor_format", "tracks.max_count"]
        keypoints, *rest = peer.call(GetParameters, "/silk/get_parameters", GetParameters.Request(names=names)).values
        backend, cell_size, descriptor_format, max_count = rest
        assert (keypoints.integer_value, backend.string_value) == (300, "onnxruntime")
        assert (cell_size.double_value, descriptor_format.string_value) == (32.0, "binary256")
        assert max_count.integer_value == 300
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_unknown_preset_is_refused_with_the_known_ones() -> None:
    text, _ = launch("preset:=lsd_slam").communicate(timeout=30)
    assert "lsd_slam" in text and all(f"'{name}'" in text for name in ("odometry", "orb_slam", "vins"))


def test_missing_params_file_is_named() -> None:
    process = launch("params_file:=/no/such.yaml")
    text, _ = process.communicate(timeout=30)
    assert "no params_file at '/no/such.yaml'" in text
