"""The launch file, wherever ROS's launch packages are importable (they have no PyPI wheels)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from harness import ROOT

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
        assert "silk_vggnp_mu.onnx in onnxruntime" in output_until(process, "loaded in")
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


def test_missing_params_file_is_named() -> None:
    process = launch("params_file:=/no/such.yaml")
    text, _ = process.communicate(timeout=30)
    assert "no params_file at '/no/such.yaml'" in text
