"""The walls of the code, read from the source: who may import what, no circles, short functions, one name a class."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("silk_ros", "training", "benchmarks")
MAX_LINES = 60  # of a function

# Third-party packages and the only folders that may import them; a "*" stands for any characters at that end.
PACKAGES = {
    **dict.fromkeys(
        ["rclpy", "rosidl*", "rcl_interfaces", "*_msgs", "*_srvs", "builtin_interfaces", "ament_index_python"],
        ("silk_ros/ros",),
    ),
    **dict.fromkeys(["cv_bridge", "launch", "launch_ros", "tf2*", "message_filters"], ("silk_ros/ros",)),
    **dict.fromkeys(["tensorrt", "tensorrt_rtx", "onnxruntime", "openvino"], ("silk_ros/backends",)),
    "rerun*": ("silk_ros/ros/view",),
    **dict.fromkeys(["torch", "torchvision"], ("training", "silk_ros/evaluation/methods/peers.py")),
}
# Our own folders, and those of our own that each may import beside itself. The road is what lies in silk_ros/ itself,
# of which every room may import the words around numbers.
# Benchmarks may import anything.
ROAD, WORDS = "silk_ros", "silk_ros.words"
LIBRARY = [ROAD, "silk_ros.geometry", "silk_ros.images", "silk_ros.backends"]
ROOMS = {
    "silk_ros.geometry": [],
    "silk_ros.images": ["silk_ros.geometry"],
    "silk_ros.backends": ["silk_ros.paths"],
    ROAD: LIBRARY,
    "silk_ros.odometry": ["silk_ros.geometry", "silk_ros.types"],
    "silk_ros.parameters": LIBRARY,
    "silk_ros.evaluation": LIBRARY,
    "silk_ros.commands": [*LIBRARY, "silk_ros.parameters", "silk_ros.evaluation"],
    "silk_ros.ros": [*LIBRARY, "silk_ros.parameters", "silk_ros.odometry"],
    "training": [*LIBRARY, "silk_ros.parameters", "silk_ros.evaluation"],
}
# The one door: of the formats of run_sequence, "bag" alone needs ROS, and is loaded by name when it is asked for.
DOORS = {("silk_ros/commands/run_sequence.py", "silk_ros.ros.recording.feature_bag")}


def modules() -> dict[str, str]:
    """The source of every module, by its path from the root."""
    files = [file for folder in SOURCES for file in sorted((ROOT / folder).rglob("*.py"))]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(source: str, path: str) -> set[str]:
    """Full names of the modules and members that a module imports, wherever in the file but not for types only."""
    package = list(Path(path).parent.parts)
    names: set[str] = set()
    tree = ast.parse(source)
    constants = {
        ast.unparse(node.targets[0]): node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
            continue
        pending += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names |= {str(constants.get(ast.unparse(argument))) for argument in node.args}
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return names


def matches(name: str, pattern: str) -> bool:
    """Whether a module is the one of a pattern, or lies in it."""
    if pattern.startswith("*"):
        return name.split(".")[0].endswith(pattern[1:])
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return f"{name}.".startswith(f"{pattern}.")


def room(name: str) -> str:
    """The room that a module of ours, or a member of one, is in; empty for what is not ours."""
    if matches(name, "silk_ros_training"):
        return "training"
    folders = [folder for folder in ROOMS if matches(name, folder)]
    return max(folders, key=len, default="benchmarks" if matches(name, "benchmarks") else "")


def breaches(source: str, path: str) -> list[str]:
    """The walls between packages and rooms that a module goes through."""
    found = []
    own_room = room(module_name(path))
    if own_room not in ROOMS:
        return []
    for name in sorted(imported(source, path)):
        for pattern, folders in PACKAGES.items():
            if matches(name, pattern) and not any(Path(path).is_relative_to(folder) for folder in folders):
                found.append(f"{path} imports {name}: only {' and '.join(folders)} may")
        other, allowed = room(name), [*ROOMS[own_room], WORDS]
        if not other or other == own_room or (path, name) in DOORS:
            continue
        # A room as a whole is allowed by its name; of the road also a single module.
        if other not in allowed and not any(matches(name, module) for module in allowed if module != ROAD):
            found.append(f"{path} imports {name}: {own_room} may not import {other}")
    return found


def circles(sources: Mapping[str, str]) -> list[str]:
    """Circles of modules that import each other, wherever in the files."""
    names = {module_name(path) for path in sources}
    edges: dict[str, set[str]] = {}
    for path, source in sources.items():
        own = module_name(path)
        targets = {name if name in names else name.rpartition(".")[0] for name in imported(source, path)}
        edges[own] = (targets & names) - {own}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> Iterator[str]:
        if name in trail:
            yield " -> ".join([*trail[trail.index(name) :], name])
        elif name not in done:
            for other in sorted(edges[name]):
                yield from visit(other, (*trail, name))
            done.add(name)

    return [circle for name in sorted(edges) for circle in visit(name, ())]


def long_functions(source: str, path: str) -> list[str]:
    """Functions of more than MAX_LINES lines, signature and docstring included."""
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    return [
        f"{path}: {node.name} has {node.end_lineno - node.lineno + 1} lines, more than {MAX_LINES}"
        for node in functions
        if node.end_lineno is not None and node.end_lineno - node.lineno >= MAX_LINES
    ]


def shared_names(sources: Mapping[str, str]) -> list[str]:
    """Public classes of one name in different modules."""
    places = defaultdict(list)
    for path, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    return [f"class {name} is in {' and '.join(paths)}" for name, paths in sorted(places.items()) if len(paths) > 1]


def test_rooms_import_what_they_may() -> None:
    sources = modules()
    assert {room(module_name(path)) for path in sources} == {*ROOMS, "benchmarks"}
    found = [breach for path, source in sources.items() for breach in breaches(source, path)]
    assert not found, "\n".join(found)


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = circles(modules())
    assert not found, "\n".join(found)


def test_functions_are_short() -> None:
    found = [function for path, source in modules().items() for function in long_functions(source, path)]
    assert not found, "\n".join(found)


def test_a_public_class_has_a_name_of_its_own() -> None:
    found = shared_names(modules())
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
        ("silk_ros/backends/base.py", "import rclpy"),
        ("silk_ros/extractor.py", "import onnxruntime"),
        ("silk_ros/ros/silk_node.py", "from openvino import Core"),
        ("silk_ros/ros/view_node.py", "import rerun as rr"),
        ("silk_ros/ros/view_node.py", "import rerun_cli"),
        ("silk_ros/ros/silk_node.py", "import tensorrt_rtx as trt"),
        ("silk_ros/evaluation/report/report.py", "import importlib\nimportlib.import_module('tensorrt')"),
        ("silk_ros/matcher.py", "import torch.nn.functional as F"),
        ("silk_ros/evaluation/metrics.py", "import torch"),
        ("silk_ros/evaluation/methods/base.py", "import torch"),
        ("training/export.py", "import onnxruntime"),
        ("training/data.py", "import rclpy"),
    ],
)
def test_a_package_outside_its_room_is_found(path: str, line: str) -> None:
    assert breaches(line, path)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("silk_ros/geometry/pnp.py", "from ..types import Features"),
        ("silk_ros/geometry/camera.py", "from ..images.gray import to_gray"),
        ("silk_ros/images/folders.py", "from ..types import Features"),
        ("silk_ros/images/gray.py", "from ..ros.messages import features_message"),
        ("silk_ros/images/gray.py", "from ..ros import messages"),
        ("silk_ros/images/kitti.py", "from ..evaluation.options import DatasetError"),
        ("silk_ros/backends/base.py", "from ..types import Features"),
        ("silk_ros/backends/base.py", "from ..geometry.camera import Camera"),
        ("silk_ros/backends/base.py", "from training.model import SiLK"),
        ("silk_ros/backends/base.py", "import silk_ros_training.model"),
        ("silk_ros/verification.py", "from .evaluation.metrics import share_within"),
        ("silk_ros/frontend.py", "from .odometry.types import Estimate"),
        ("silk_ros/odometry/tracking.py", "from ..frontend import FrontEnd"),
        ("silk_ros/odometry/tracking.py", "from ..evaluation.metrics import share_within"),
        ("silk_ros/evaluation/report/report.py", "from ... import ros"),
        ("silk_ros/evaluation/run_info.py", "from ..commands.evaluate import main"),
        ("silk_ros/ros/demo/trajectory.py", "from ...evaluation.report.plots import draw_trajectories"),
        ("silk_ros/ros/silk_node.py", "from ..commands.arguments import positive"),
        ("silk_ros/commands/run_sequence.py", "from ..ros.recording.feature_bag import write_bag"),
        ("silk_ros/commands/evaluate.py", "from training.model import SiLK"),
        ("silk_ros/commands/evaluate.py", "DOOR = 'silk_ros.ros.messages'\nimport_module(DOOR)"),
        ("training/train.py", "from silk_ros.ros.messages import features_message"),
        ("training/train.py", "from silk_ros.commands.arguments import positive"),
    ],
)
def test_a_wall_that_is_broken_between_rooms_is_found(path: str, line: str) -> None:
    assert breaches(line, path)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (
            "silk_ros/ros/silk_node.py",
            "import rclpy\nfrom sensor_msgs.msg import Image\nfrom ..frontend import FrontEnd",
        ),
        ("silk_ros/ros/silk_node.py", "from . import messages\nfrom .messages import features_message"),
        ("silk_ros/ros/odometry_node.py", "from ..odometry.tracking import Tracking"),
        ("silk_ros/ros/view/scene.py", "import rerun as rr\nimport rerun.blueprint as rrb"),
        ("silk_ros/backends/onnxruntime.py", "import onnxruntime\nfrom ..paths import cache_directory"),
        ("silk_ros/backends/__init__.py", "from .onnxruntime import OnnxRuntimeBackend"),
        ("silk_ros/images/sources.py", "import rosbags.highlevel\nimport numpy\nfrom ..geometry.camera import Camera"),
        (
            "silk_ros/frontend.py",
            "from . import extractor\nfrom .types import Features\nfrom .images.mask import mask_rows",
        ),
        ("silk_ros/odometry/tracking.py", "from ..geometry.camera import Camera\nfrom ..types import Matches"),
        ("silk_ros/evaluation/pairs.py", "import silk_ros\nfrom ..extractor import Extractor"),
        ("silk_ros/commands/evaluate.py", "from ..evaluation.run_info import describe_run"),
        ("training/train.py", "import torch\nfrom .model import SiLK\nfrom training.loss import silk_loss"),
        ("training/export.py", "import onnx\nimport torchmetrics"),
        ("training/photos.py", "from silk_ros.images.sources import open_source"),
        ("benchmarks/node.py", "import torch\nfrom silk_ros.ros.messages import stamp_nanoseconds"),
    ],
)
def test_what_belongs_in_a_room_is_let_in(path: str, line: str) -> None:
    assert breaches(line, path) == []


def test_a_circle_is_found() -> None:
    sources = {
        "silk_ros/a.py": "from .b import two",
        "silk_ros/b.py": "from . import c",
        "silk_ros/c.py": "def late():\n    from silk_ros.a import one",
        "silk_ros/d.py": "from .a import one",
    }
    assert circles(sources) == ["silk_ros.a -> silk_ros.b -> silk_ros.c -> silk_ros.a"]
    assert circles(sources | {"silk_ros/c.py": "if TYPE_CHECKING:\n    from silk_ros.a import one"}) == []


def test_a_long_function_is_found() -> None:
    function = "def f():\n" + "    pass\n" * (MAX_LINES - 1)
    assert long_functions(function, "a.py") == []
    assert long_functions(function + "    pass\n", "a.py") == [
        f"a.py: f has {MAX_LINES + 1} lines, more than {MAX_LINES}"
    ]


def test_a_name_of_two_classes_is_found() -> None:
    sources = {"silk_ros/a.py": "class View: ...\nclass _Row: ...", "training/b.py": "class View: ...\nclass _Row: ..."}
    assert shared_names(sources) == ["class View is in silk_ros/a.py and training/b.py"]


def test_importing_silk_ros_loads_no_heavy_package() -> None:
    program = "import sys, silk_ros; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert "silk_ros" in loaded.split()
    assert not {"torch", "rclpy", "onnxruntime", "openvino", "tensorrt", "training", "scipy"} & set(loaded.split())
