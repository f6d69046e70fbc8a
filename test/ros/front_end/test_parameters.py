import re

import pytest
import rclpy
from rclpy.context import Context
from rclpy.parameter import Parameter

from silk_ros.parameters.declarations import NEVER
from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.ros.node.declarations import declare


def test_filters_are_off_by_default() -> None:
    filters = [declaration for declaration in DECLARATIONS if declaration.off is not None]
    assert {declaration.name.partition(".")[0] for declaration in filters} == {"matcher"} and len(filters) == 3
    assert all(declaration.default == declaration.off for declaration in filters)


def test_every_parameter_is_described_and_every_number_has_a_range(context: Context) -> None:
    node = rclpy.create_node("parameters", context=context)
    declare(node, DECLARATIONS)
    for declaration in DECLARATIONS:
        descriptor = node.describe_parameter(declaration.name)
        assert descriptor.description and descriptor.read_only == (declaration.change == NEVER)
        if not isinstance(declaration.default, (str, bool, list)):
            assert descriptor.integer_range or descriptor.floating_point_range, declaration.name
    node.destroy_node()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("max_keypoints", 0, "max_keypoints is out of its range, 1 to 30000: 0 was given"),
        ("max_keypoints", 30001, "out of its range, 1 to 30000: 30001 was given"),
        ("max_keypoints", 300.0, "max_keypoints takes a value of type int, not 300.0: write 300"),
        ("max_keypoints", "many", "max_keypoints takes a value of type int, not 'many'"),
        ("scale", 0.0, "out of its range, 0.1 to 4"),
        ("scale", 1, "scale takes a value of type float, not 1: write 1.0"),
        ("scale", 7, "scale is out of its range, 0.1 to 4: 7 was given"),
        ("matcher.ratio", 1.5, "out of its range, 0 to 1"),
        ("matcher.radius", 40, "a share of the image's width, 0 (off) to 1, not 40; 40 pixels"),
        ("matcher.radius", 40.0, "a share of the image's width, 0 (off) to 1, not 40; 40 pixels"),
        ("tracks.bridge", 1, "tracks.bridge takes a value of type bool, not 1"),
        (
            "mask_file",
            5,
            "mask_file takes a value of type str, not 5: write it as a text: '5' in a file, \"'5'\" on a command line",
        ),
        ("refinement", 5, "parameter refinement is '5': choose one of none, subpixel"),
    ],
)
def test_value_that_cannot_be_is_refused_with_the_fix(context: Context, name: str, value: object, reason: str) -> None:
    node = rclpy.create_node("parameters", context=context, parameter_overrides=[Parameter(name, value=value)])
    with pytest.raises(ValueError, match=re.escape(reason)):
        declare(node, DECLARATIONS)
    node.destroy_node()


def test_unknown_parameters_are_named_with_similar_ones(context: Context, capfd: pytest.CaptureFixture[str]) -> None:
    given = {"max_keypoint": 300, "xyz": 1, "use_sim_time": False, "qos_overrides./image_raw.depth": 1}
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    node = rclpy.create_node("parameters", context=context, parameter_overrides=overrides)
    declare(node, DECLARATIONS)
    node.destroy_node()
    warnings = [line for line in capfd.readouterr().err.splitlines() if "[WARN]" in line]
    assert ["no parameter" in line for line in warnings] == [True, True]
    assert "no parameter 'max_keypoint': did you mean max_keypoints" in warnings[0]
    assert "no parameter 'xyz': 'silk_node --help' or 'ros2 param list' lists them" in warnings[1]
