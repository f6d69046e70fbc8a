"""What an installation must bring: package.xml, setup.py and the sources agree."""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import silk_ros

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
SETUP = (ROOT / "setup.py").read_text()


def ros_imports() -> set[str]:
    names = set()
    for path in (ROOT / "silk_ros" / "ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    # They have no rosdep keys: the README tells to install rosbags and mcap from PyPI; mcap brings zstandard. What
    # view_node needs besides, and nothing else, is in docs/view.md.
    return names - set(sys.stdlib_module_names) - {"rosbags", "mcap", "zstandard", "rerun", "rerun_cli"}


def test_one_version_everywhere() -> None:
    versions = {PACKAGE.findtext("version"), silk_ros.__version__, *re.findall(r'^    version="(.+?)"', SETUP, re.M)}
    versions |= set(re.findall(r"^(\d+\.\d+\.\d+) \(", (ROOT / "CHANGELOG.rst").read_text(), re.M)[:1])
    assert len(versions) == 1


def test_package_xml_declares_what_the_nodes_import() -> None:
    declared = {dependency.text for dependency in PACKAGE.iter("exec_depend")}
    rosdep_keys = {"cv2": "python3-opencv"} | {
        name: f"python3-{name}" for name in ("matplotlib", "numpy", "scipy", "yaml")
    }
    assert {rosdep_keys.get(name, name) for name in ros_imports()} <= declared
    assert PACKAGE.get("format") == "3" and PACKAGE.findtext("export/build_type") == "ament_python"


def test_everything_a_robot_needs_is_installed_into_share() -> None:
    for folder in ("launch", "config", "config/presets", "models"):
        assert f'"/{folder}", glob(' in SETUP and any((ROOT / folder).iterdir())
    assert '"include/" + PACKAGE, glob(' in SETUP and (ROOT / "include" / "silk_ros" / "features.hpp").is_file()
    assert (ROOT / "resource" / "silk_ros").is_file() and (ROOT / "LICENSE").is_file()


def test_every_model_has_a_card() -> None:
    for model in (ROOT / "models").glob("*.onnx"):
        card = model.with_name(model.stem.removesuffix("_int8") + ".md")
        assert card.is_file() and model.name in card.read_text(encoding="utf-8"), model.name
