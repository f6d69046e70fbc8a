"""`colcon build`, as in a ROS 2 workspace, and what it installs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "silk_ros",
    "training",
    "launch",
    "config",
    "include",
    "models",
    "resource",
    "package.xml",
    "setup.py",
    "setup.cfg",
    "README.md",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    workspace = tmp_path_factory.mktemp("workspace")
    source = workspace / "src" / "silk_ros"
    source.mkdir(parents=True)
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    environment = os.environ | {"AMENT_PREFIX_PATH": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    command = [f"{sys.prefix}/bin/colcon", "build", "--event-handlers", "console_direct+"]
    result = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return workspace / "install" / "silk_ros"


def test_executables_and_share_are_where_ros_looks(workspace: Path) -> None:
    executables = {path.name for path in (workspace / "lib" / "silk_ros").iterdir()}
    assert executables == {
        "silk_node",
        "image_player",
        "odometry_node",
        "view_node",
        "evaluate",
        "train",
        "finetune",
        "export",
        "quantize",
        "benchmark",
        "build_engine",
        "run_sequence",
        "vocabulary",
    }
    assert (workspace / "share" / "ament_index" / "resource_index" / "packages" / "silk_ros").is_file()
    share = workspace / "share" / "silk_ros"
    for file in (
        "launch/silk.launch.py",
        "config/silk.yaml",
        "config/fastdds.xml",
        "config/presets/orb_slam.yaml",
        "models/silk_vggnp_mu.onnx",
        "models/silk_vggnp_mu_vocabulary.txt.gz",
        "package.xml",
    ):
        assert (share / file).is_file(), file
    assert (workspace / "include" / "silk_ros" / "features.hpp").is_file()


def test_installed_code_finds_its_model_and_leaves_the_name_training_free(workspace: Path) -> None:
    (site_packages,) = workspace.glob("lib/python*/site-packages")
    code = """
from importlib.util import find_spec
from silk_ros.paths import default_model
print(default_model(), find_spec("training"))
"""
    environment = os.environ | {"PYTHONPATH": str(site_packages)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=workspace, env=environment, capture_output=True, text=True
    )
    model, training = result.stdout.split()
    assert Path(model) == workspace / "share" / "silk_ros" / "models" / "silk_vggnp_mu.onnx"
    assert training == "None"
