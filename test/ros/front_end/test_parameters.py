import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidParameterValueException
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
    ("name", "value"), [("max_keypoints", 0), ("max_keypoints", 30001), ("scale", 0.0), ("matcher.ratio", 1.5)]
)
def test_number_out_of_range_is_refused(context: Context, name: str, value: object) -> None:
    node = rclpy.create_node("parameters", context=context, parameter_overrides=[Parameter(name, value=value)])
    with pytest.raises(InvalidParameterValueException):
        declare(node, DECLARATIONS)
    node.destroy_node()
