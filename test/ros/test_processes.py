"""Player and node as a user runs them: separate processes over DDS, signals, and start-up errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from harness import DEADLINE, ROOT
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, PointCloud2

from silk_ros.paths import default_model

Spawn = Callable[..., "subprocess.Popen[str]"]


def wait_for_clouds(context: Context, topic: str, count: int) -> list[PointCloud2]:
    node = rclpy.create_node("downstream", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    clouds: list[PointCloud2] = []
    node.create_subscription(PointCloud2, topic, clouds.append, 10)
    end = time.monotonic() + DEADLINE
    while len(clouds) < count:
        assert time.monotonic() < end, f"{len(clouds)} clouds on {topic}"
        executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
    return clouds


def end(process: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str]:
    process.send_signal(how)
    _, errors = process.communicate(timeout=DEADLINE)
    return process.returncode, errors


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_player_and_node_run_remapped_in_a_namespace_and_end_with_zero(
    context: Context, spawn: Spawn, image_folder: Path, how: signal.Signals
) -> None:
    remap = ["-r", "__ns:=/robot", "-r", "image_raw:=/cam"]
    node = spawn("silk_node", "--ros-args", *remap, "-p", "max_keypoints:=300")
    player = spawn("image_player", "--ros-args", *remap, "-p", f"source:={image_folder}", "-p", "rate:=5.0")
    features = wait_for_clouds(context, "/robot/silk/features", 3)
    matches = wait_for_clouds(context, "/robot/silk/matches", 3)
    assert features[-1].width == 300 and matches[-1].width > 50
    for process in (player, node):
        code, errors = end(process, how)
        assert code == 0 and "Traceback" not in errors, errors


def test_two_interrupts_at_once_still_end_with_zero(context: Context, spawn: Spawn, image_folder: Path) -> None:
    node = spawn("silk_node")
    spawn("image_player", "--ros-args", "-p", f"source:={image_folder}", "-p", "rate:=5.0")
    wait_for_clouds(context, "/silk/features", 1)
    node.send_signal(signal.SIGINT)
    time.sleep(0.02)
    code, errors = end(node, signal.SIGINT)
    assert code == 0 and "Traceback" not in errors, errors


@pytest.mark.parametrize("moment", ["load", "diagnostics_message"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_signal_at_any_moment_ends_the_node_with_zero(
    domain_id: int, tmp_path: Path, moment: str, how: signal.Signals
) -> None:
    """The node signals itself while it loads its model, or while it publishes."""
    script = f"""
import os, signal, sys, time
from silk_ros.ros import silk_node
from silk_ros.parameters import settings
owner = settings.Extractor if {moment!r} == "load" else silk_node
original = getattr(owner, {moment!r})
def interrupted(*args, **kwargs):
    os.kill(os.getpid(), {int(how)})
    time.sleep(0.5)
    return original(*args, **kwargs)
setattr(owner, {moment!r}, interrupted)
sys.exit(silk_node.main())
"""
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id)}
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr


INTERRUPTED_NODE = """
import gc, os, signal, sys, threading
import rclpy
from rclpy.signals import SignalHandlerGuardCondition
from silk_ros.ros.node.process import WorkerNode, run_node

class Interrupted(WorkerNode):
    def __init__(self):
        super().__init__("interrupted")
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

def checked():
    uninstall()
    print(sum(isinstance(given, SignalHandlerGuardCondition) for given in gc.get_objects()))

uninstall, rclpy.uninstall_signal_handlers = rclpy.uninstall_signal_handlers, checked
sys.exit(run_node("interrupted", Interrupted, None))
"""


def test_executor_outlives_the_thread_that_wakes_it_at_a_signal(domain_id: int) -> None:
    """Else the process crashes now and then: rclpy's thread for signals wakes what is no more."""
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id)}
    command = [sys.executable, "-c", INTERRUPTED_NODE]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0 and result.stdout == "1\n", result


def foreign_onnx(path: Path) -> None:
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["a"], ["b"])],
        "foreign",
        [value("a", TensorProto.FLOAT, [1])],
        [value("b", TensorProto.FLOAT, [1])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))


def make_bad_models(folder: Path) -> None:
    (folder / "truncated.onnx").write_bytes(default_model().read_bytes()[:5000])
    (folder / "garbage.onnx").write_bytes(b"garbage" * 100)
    foreign_onnx(folder / "foreign.onnx")


START_ERRORS = {
    "missing model": ("model_path:={folder}/none.onnx", "no model file"),
    "truncated model": ("model_path:={folder}/truncated.onnx", "not a usable ONNX file"),
    "garbage model": ("model_path:={folder}/garbage.onnx", "not a usable ONNX file"),
    "foreign model": ("model_path:={folder}/foreign.onnx", "not of a SiLK network"),
    "unknown backend": ("backend:=abacus", "choose one of"),
    "unknown precision": ("precision:=fp3", "fp32"),
    "out of range": ("max_keypoints:=0", "max_keypoints is out of its range, 1 to 30000"),
    "wrong type": ("max_keypoints:=many", "max_keypoints takes a value of type int"),
    "whole number": ("scale:=1", "not 1: write 1.0"),
    "radius in pixels": ("matcher.radius:=40.0", "40 pixels of an image 640 wide are 0.0625"),
    "two filters": ("matcher.double_softmax:=0.9 matcher.ratio:=0.8", "alternatives"),
}


@pytest.mark.parametrize("parameters, reason", START_ERRORS.values(), ids=START_ERRORS)
def test_node_that_cannot_start_says_why_in_one_line(
    spawn: Spawn, tmp_path: Path, parameters: str, reason: str
) -> None:
    make_bad_models(tmp_path)
    options = [text for given in parameters.format(folder=tmp_path).split() for text in ("-p", given)]
    process = spawn("silk_node", "--ros-args", *options)
    _, errors = process.communicate(timeout=DEADLINE)
    lines = [line for line in errors.splitlines() if line.startswith("silk_node: cannot start: ")]
    assert process.returncode == 1 and len(lines) == 1 and reason in lines[0], errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "parameter, reason", [("source:=/no/where", "no source"), ("rate:=-1.0", "rate"), ("reliability:=maybe", "choose")]
)
def test_player_that_cannot_start_says_why_in_one_line(spawn: Spawn, parameter: str, reason: str) -> None:
    process = spawn("image_player", "--ros-args", "-p", parameter)
    _, errors = process.communicate(timeout=DEADLINE)
    lines = [line for line in errors.splitlines() if line.startswith("image_player: cannot start: ")]
    assert process.returncode == 1 and len(lines) == 1 and reason in lines[0], errors


def test_finished_player_ends_with_zero(spawn: Spawn, image_folder: Path) -> None:
    process = spawn(
        "image_player", "--ros-args", "-p", f"source:={image_folder}", "-p", "rate:=100.0", "-p", "loop:=false"
    )
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and "has ended" in errors


def test_player_says_what_it_recorded_and_where(spawn: Spawn, image_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    given = f"source:={image_folder} rate:=100.0 loop:=false record:={folder}".split()
    process = spawn("image_player", "--ros-args", *(part for each in given for part in ("-p", each)))
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and f"image_player: recorded 10 Image on /image_raw in '{folder}'\n" in errors


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_odometry_that_is_stopped_says_what_it_did(context: Context, spawn: Spawn, how: signal.Signals) -> None:
    process = spawn("odometry_node")
    node = rclpy.create_node("observer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard: list[DiagnosticArray] = []
    node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    deadline = time.monotonic() + DEADLINE
    while not heard:
        assert time.monotonic() < deadline
        executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
    code, errors = end(process, how)
    assert code == 0 and errors.endswith(
        "odometry_node: no poses from 0 images: no camera_info on /camera_info yet: remap camera_info to that of the "
        "camera\n"
    )
    assert "Failed to publish" not in errors


def test_malformed_request_does_not_end_a_process(context: Context, spawn: Spawn, image_folder: Path) -> None:
    """rclpy's own services raise for it, where the node leaves them to rclpy."""
    player = spawn("image_player", "--ros-args", "-p", f"source:={image_folder}", "-p", "rate:=10.0")
    node = rclpy.create_node("client", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    images: list[Image] = []
    node.create_subscription(Image, "image_raw", images.append, qos_profile_sensor_data)
    client = node.create_client(SetParameters, "/image_player/set_parameters")

    def spin_until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end and player.poll() is None
            executor.spin_once(timeout_sec=0.1)

    spin_until(lambda: client.service_is_ready() and bool(images))
    nonsense = Parameter(name="rate", value=ParameterValue(type=10))
    client.call_async(SetParameters.Request(parameters=[nonsense]))
    count = len(images)
    spin_until(lambda: len(images) > count + 10)
    node.destroy_node()
    code, errors = end(player, signal.SIGINT)
    assert code == 0 and "callback failed" in errors
