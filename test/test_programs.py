"""Every program of the package, as a process: its help and its version."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import silk_ros

ROOT = Path(__file__).resolve().parents[1]
ENTRY_POINTS = dict(re.findall(r'"(\w+) = ([\w.]+):main"', (ROOT / "setup.py").read_text(encoding="utf-8")))
# From the source tree, where `training` has its own name.
SCRIPTS = {name: module.replace("silk_ros_training", "training") for name, module in ENTRY_POINTS.items()}
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for folder in ("silk_ros", "training")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]
PROGRAMS = {
    **{name: ["-c", f"import sys; from {module} import main; sys.exit(main())"] for name, module in SCRIPTS.items()},
    **{f"-m {module}": ["-m", module] for module in MODULES},
}
NODES = ("silk_node", "odometry_node", "image_player", "view_node")
# Stands for rclpy's: a node that only prints must not start ROS.
WITHOUT_ROS = (
    "import sys, rclpy\n"
    "def init(**_): raise AssertionError('ROS was started')\n"
    "rclpy.init = init\n"
    "from silk_ros.ros.{module} import main\n"
    "sys.exit(main())"
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    # albumentations asks PyPI for newer versions of itself.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_ALBUMENTATIONS_UPDATE": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def skip_without(program: str) -> None:
    """Skip programs whose packages are not installed."""
    if ("training" in program or "training" in SCRIPTS.get(program, "")) and not importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is not installed")
    if ("silk_ros.ros." in program or program in NODES) and not importlib.util.find_spec("rclpy"):
        pytest.skip("ROS 2 is not installed")


def test_all_programs_are_known() -> None:
    assert {*NODES, "evaluate", "quantize", "build_engine", "run_sequence", "benchmark", "vocabulary"} <= set(SCRIPTS)
    assert {"training.train", "training.finetune", "training.export"} <= set(MODULES)
    assert {"silk_ros.ros.demo", "silk_ros.parameters.write_yaml"} <= set(MODULES)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version_are_printed(program: str) -> None:
    skip_without(program)
    told = run(*PROGRAMS[program], "--help")
    assert told.returncode == 0 and told.stdout.startswith("usage: ") and not told.stderr, told.stderr
    version = run(*PROGRAMS[program], "--version")
    assert (version.returncode, version.stdout) == (0, f"silk_ros {silk_ros.__version__}\n"), version.stderr


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("arguments", ["-h", "--help --ros-args -p rate:=1.0", "--version --ros-args -r a:=b"])
def test_a_node_prints_its_help_without_starting_ros(node: str, arguments: str) -> None:
    skip_without(node)
    result = run("-c", WITHOUT_ROS.format(module=node), *arguments.split())
    assert result.returncode == 0 and result.stdout and not result.stderr, result.stderr


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        ("-p scale:=0.7", "silk_node --ros-args -p scale:=0.7"),
        ("--scale 0.7", "silk_node --ros-args -p scale:=0.7"),
        (
            "--ros-args -p scale:=0.7 -- more",
            "unknown arguments 'more': parameters and remappings stand behind --ros-args",
        ),
        ("more", "silk_node --ros-args -p autostart:=true"),
        ("--scale=0.7 --autostart --params-file a.yaml", "--ros-args -p scale:=0.7 -p autostart:=true --params-file a"),
        ("--log-level debug -r a:=b", "--ros-args --log-level debug -r a:=b"),
        ("image_raw:=cam", "silk_node --ros-args -r image_raw:=cam"),
        ("--ros-args --frob", "['--frob']): 'silk_node --help' has the form"),
        ("--ros-args -p scale=0.7", "'-p scale=0.7' sets no parameter: write NAME:=VALUE, for example -p scale:=0.5"),
        ("--ros-args -p scale", "write NAME:=VALUE, for example -p scale:=0.5"),
        ("--ros-args --param scale:=", "write NAME:=VALUE, for example -p scale:=0.5"),
    ],
)
def test_arguments_that_ros_does_not_take_are_refused_with_the_fix(arguments: str, fix: str) -> None:
    skip_without("silk_node")
    result = run("-c", WITHOUT_ROS.format(module="silk_node"), *arguments.split())
    assert result.returncode == 2 and "Traceback" not in result.stderr and fix in result.stderr
    assert "[WARN]" not in result.stderr and "rcl/" not in result.stderr
