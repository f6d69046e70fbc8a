"""Which folder may import what (DESIGN.md, section 2), read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# A package, and the only folders that may import it; a name that ends in "*" stands for all that begin so.
WALLS = {
    **dict.fromkeys(
        ["rclpy", "rosidl*", "rcl_interfaces", "*_msgs", "*_srvs", "builtin_interfaces", "ament_index_python"],
        "silk_ros/ros",
    ),
    **dict.fromkeys(["cv_bridge", "launch", "launch_ros", "tf2*", "message_filters", "silk_ros.ros"], "silk_ros/ros"),
    **dict.fromkeys(["tensorrt", "tensorrt_rtx", "onnxruntime", "openvino"], "silk_ros/backends"),
    **dict.fromkeys(["torch", "torchvision", "training", "silk_ros_training"], "training"),
}


def imported(source: str, package: str) -> set[str]:
    """Full names of the modules that a module of `package` imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return names


def is_of(name: str, pattern: str) -> bool:
    """Whether a module is that of the pattern, or lies in it."""
    if pattern.startswith("*"):
        return name.split(".")[0].endswith(pattern[1:])
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return f"{name}.".startswith(f"{pattern}.")


def breaches(source: str, path: str) -> list[str]:
    """The walls that the source of a file, at a path from the root, goes through."""
    folder = Path(path).parent
    return sorted(
        f"{path} imports {name}: only {room} may"
        for name in imported(source, ".".join(folder.parts))
        for pattern, room in WALLS.items()
        if is_of(name, pattern) and not folder.is_relative_to(room)
    )


@pytest.mark.parametrize("package", ["silk_ros", "training"])
def test_the_walls_stand(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    found = [breach for file in files for breach in breaches(file.read_text(), str(file.relative_to(ROOT)))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("silk_ros/images/gray.py", "import rclpy"),
        ("silk_ros/images/gray.py", "import rclpy.node as node"),
        ("silk_ros/images/gray.py", "from sensor_msgs.msg import Image"),
        ("silk_ros/images/gray.py", "from std_srvs.srv import Trigger"),
        ("silk_ros/images/gray.py", "def late():\n    import cv_bridge"),
        ("silk_ros/images/gray.py", "try:\n    import rosidl_runtime_py\nexcept ImportError:\n    pass"),
        ("silk_ros/images/gray.py", "from .ros import messages"),
        ("silk_ros/images/gray.py", "from .ros.messages import features_message"),
        ("silk_ros/evaluation/report/report.py", "from .. import ros"),
        ("silk_ros/backends/base.py", "import rclpy"),
        ("silk_ros/extractor.py", "import onnxruntime"),
        ("silk_ros/ros/silk_node.py", "from openvino import Core"),
        ("silk_ros/ros/silk_node.py", "import tensorrt_rtx as trt"),
        ("silk_ros/evaluation/report/report.py", "import importlib\nimportlib.import_module('tensorrt')"),
        ("silk_ros/matcher.py", "import torch.nn.functional as F"),
        ("silk_ros/backends/base.py", "from training.model import SiLK"),
        ("silk_ros/backends/base.py", "import silk_ros_training.model"),
        ("training/train.py", "from silk_ros.ros.messages import features_message"),
        ("training/export.py", "import onnxruntime"),
        ("training/data.py", "import rclpy"),
    ],
)
def test_a_breach_is_found(path: str, line: str) -> None:
    assert breaches(line, path)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("silk_ros/ros/silk_node.py", "import rclpy\nfrom sensor_msgs.msg import Image\nfrom ..image import to_gray"),
        ("silk_ros/ros/silk_node.py", "from . import messages\nfrom .messages import features_message"),
        ("silk_ros/backends/onnxruntime.py", "import onnxruntime"),
        ("silk_ros/backends/__init__.py", "from .onnxruntime import OnnxRuntimeBackend"),
        ("silk_ros/images/sources.py", "import rosbags\nimport rosbags.highlevel\nimport numpy"),
        ("silk_ros/frontend.py", "from . import extractor\nfrom .types import Features"),
        ("training/train.py", "import torch\nfrom .model import SiLK\nfrom training.loss import silk_loss"),
        ("training/export.py", "import onnx\nimport torchmetrics"),
        ("training/photos.py", "from silk_ros.images.sources import open_source"),
    ],
)
def test_what_belongs_in_a_room_is_let_in(path: str, line: str) -> None:
    assert breaches(line, path) == []


def test_importing_silk_ros_loads_no_heavy_package() -> None:
    program = "import sys, silk_ros; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert "silk_ros" in loaded.split()
    assert not {"torch", "rclpy", "onnxruntime", "openvino", "tensorrt", "training"} & set(loaded.split())
