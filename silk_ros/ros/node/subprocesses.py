"""The package's nodes as processes of a program, on a ROS graph of its own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence

from ...paths import share_directory


def isolate_ros(domain: int | None = None) -> None:
    """Keep this process and its children to this machine and to a ROS domain, a random one if none is given."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"
    os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 50) if domain is None else domain)
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(share_directory() / "config" / "fastdds.xml")  # for images


def text(name: str, value: object) -> str:
    """A parameter for `start` that stays a text whatever it looks like: a folder may be called 00, a topic be empty."""
    return f"{name}:={json.dumps(str(value), ensure_ascii=False)}"


def start(module: str, *parameters: str, remap: Sequence[str] = ()) -> subprocess.Popen:
    """Start a module of `silk_ros.ros` as a process.

    parameters: such as "rate:=10". remap: rules such as "image_raw:=left/image_raw".
    """
    options = [part for parameter in parameters for part in ("-p", parameter)]
    options += [part for rule in remap for part in ("-r", rule)]
    return subprocess.Popen([sys.executable, "-m", f"silk_ros.ros.{module}", "--ros-args", *options])


def stop(*processes: subprocess.Popen) -> None:
    """End processes that `start` started."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
