"""Values as people give them, and the parameter files of ROS."""

from __future__ import annotations

from pathlib import Path

import pytest

from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.parameters.given import preset_file, read_parameter_file, value_of, value_of_text
from silk_ros.paths import share_directory

PRESETS = sorted(path.stem for path in (share_directory() / "config" / "presets").iterdir())


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "given.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_of_the_node_is_read_whole() -> None:
    given = read_parameter_file(share_directory() / "config" / "silk.yaml")
    assert given == {declaration.name: declaration.default for declaration in DECLARATIONS}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_parameters_of_the_node_with_values_that_they_take(name: str) -> None:
    given = read_parameter_file(preset_file(name))
    assert given and all(value_of(parameter, value) == value for parameter, value in given.items())


def test_an_unknown_preset_names_the_others() -> None:
    with pytest.raises(ValueError, match=r"no preset 'orbslam': the presets are .*orb_slam"):
        preset_file("orbslam")


@pytest.mark.parametrize(
    "head",
    ["/**:", "silk:", "/silk:", "/front/silk:", "/front/*:", "front:\n  silk:"],
    ids=["any", "name", "root", "namespace", "any of a namespace", "nested"],
)
def test_sections_of_the_node_are_read_and_those_of_others_left_out(tmp_path: Path, head: str) -> None:
    indent = " " * (2 * head.count("\n") + 2)
    section = f"{head}\n{indent}ros__parameters: {{scale: 1.0, selection: {{border: 4.0}}, matcher.ratio: 0.9}}\n"
    other = "odometry:\n  ros__parameters: {scale: 3.0}\n"
    given = read_parameter_file(write(tmp_path, other + section))
    assert given == {"scale": 1.0, "selection.border": 4.0, "matcher.ratio": 0.9}


def test_a_later_section_overrides_an_earlier_one(tmp_path: Path) -> None:
    text = "/**:\n  ros__parameters: {scale: 1.0, threads: 2}\nsilk:\n  ros__parameters: {scale: 0.7}\n"
    assert read_parameter_file(write(tmp_path, text)) == {"scale": 0.7, "threads": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is no YAML file"),
        ("", "write them below '/\\*\\*:'"),
        ("scale: 1.0", "write them below '/\\*\\*:'"),
        ("odometry:\n  ros__parameters: {scale: 1.0}", "has no parameters of silk"),
        ("/a/silk: {ros__parameters: {scale: 1.0}}\n/b/silk: {ros__parameters: {scale: 2.0}}", "/a/silk and /b/silk"),
    ],
)
def test_other_files_are_refused_with_the_fix(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_parameter_file(write(tmp_path, text))


def test_a_missing_file_names_the_one_to_copy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"copy config/silk\.yaml"):
        read_parameter_file(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("scale", "1", 1.0),
        ("scale", "5e-1", 0.5),
        ("max_keypoints", "300", 300),
        ("tracks.bridge", "true", True),
        ("descriptor_format", "binary256", "binary256"),
        ("model_path", "1.onnx", "1.onnx"),
        ("model_path", "12", "12"),
        ("rectified", "true", "true"),
    ],
)
def test_texts_become_values_of_the_type_of_the_parameter(name: str, text: str, value: object) -> None:
    given = value_of_text(name, text)
    assert given == value and type(given) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("scale", "9", "scale is out of its range, 0.1 to 4"),
        ("scale", "nan", "out of its range"),
        ("scale", "half", "takes a value of type float"),
        ("max_keypoints", "1.5", "takes a value of type int, not 1.5$"),
        ("max_keypoints", "300.0", "takes a value of type int, not 300.0: write 300$"),
        ("max_keypoints", "[1", "takes a value of type int"),
        ("tracks.bridge", "1", "takes a value of type bool"),
        ("backend", "cuda", "choose one of auto, tensorrt"),
        ("selection.cellsize", "32", "did you mean selection.cell_size"),
        ("xyz", "1", "'silk_node --help' or 'ros2 param list' lists them"),
    ],
)
def test_texts_that_are_no_values_are_refused_with_the_fix(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value_of_text(name, text)


def test_a_whole_number_of_a_file_may_stand_for_a_decimal_one_but_not_a_boolean() -> None:
    assert value_of("scale", 1) == 1.0 and value_of("rectified", True) == "true"
    with pytest.raises(ValueError, match="takes a value of type float, not True"):
        value_of("scale", True)


def test_a_radius_in_pixels_is_explained() -> None:
    (radius,) = (declaration for declaration in DECLARATIONS if declaration.name == "matcher.radius")
    assert value_of(radius.name, 1.0) == 1.0
    with pytest.raises(ValueError, match=r"share of the image's width.* 40 pixels of an image 640 wide are 0\.0625"):
        value_of(radius.name, 40.0)
