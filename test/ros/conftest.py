"""Real rclpy and DDS for every test, on a domain of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
import rclpy
from harness import ROOT, Graph, Peer, closed_at_the_end, picture
from rclpy.context import Context


@pytest.fixture(scope="session", autouse=True)
def localhost_only(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "fastdds.xml")


@pytest.fixture(scope="session")
def domain_id(worker_id: str) -> int:
    """A DDS domain for each parallel test worker, away from the default."""
    return 60 + int("".join(filter(str.isdigit, worker_id)) or 0)


def participants() -> list[str]:
    """The event threads of Fast DDS in this process, one for each participant."""
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    return [name for name in names if name.startswith("dds.ev")]


@pytest.fixture
def context(domain_id: int) -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    yield context
    context.try_shutdown()
    assert not participants(), "destroy all nodes: what is left of them would be seen by the next test"


@pytest.fixture
def make_graph(context: Context) -> Iterator[Callable[..., Graph]]:
    with closed_at_the_end(lambda **parameters: Graph(context, **{"diagnostics_period": 0.2, **parameters})) as make:
        yield make


@pytest.fixture
def graph(make_graph: Callable[..., Graph]) -> Graph:
    return make_graph()


@pytest.fixture
def make_peer(context: Context) -> Iterator[Callable[..., Peer]]:
    with closed_at_the_end(partial(Peer, context)) as make:
        yield make


@pytest.fixture
def peer(make_peer: Callable[..., Peer]) -> Peer:
    return make_peer()


@pytest.fixture
def spawn(domain_id: int) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start modules of silk_ros.ros as processes on the test's domain; killed at the end if they still run.

    Named arguments are variables of their environment.
    """
    processes: list[subprocess.Popen[str]] = []

    def start(module: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain_id),
            "PYTHONUNBUFFERED": "1",
            "RCUTILS_COLORIZED_OUTPUT": "0",
            **variables,
        }
        command = [sys.executable, "-m", f"silk_ros.ros.{module}", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=environment, cwd=ROOT, text=True, **pipes)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Ten views of a photograph, each three pixels further right."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(10):
        cv2.imwrite(str(folder / f"{index:03d}.png"), picture(320, 240, shift=-3 * index))
    return folder
