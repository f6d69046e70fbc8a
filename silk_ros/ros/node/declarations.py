"""Parameters of a node, declared with their descriptions and limits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType
from rclpy.node import Node

from ...parameters.declarations import NEVER, Declaration, unknown_parameter


def declare(node: Node, declarations: Iterable[Declaration]) -> dict[str, Any]:
    """Declare parameters and return their values by name.

    Raises ValueError, naming the fix, for a wrong type, a number out of range, and an unknown choice; in rclpy's own
    words none of them has one. Warnings name given parameters that do not exist, and similar ones that do.
    """
    declarations, overrides = tuple(declarations), getattr(node, "_parameter_overrides", {})
    for declaration in declarations:
        if declaration.name in overrides:
            declaration.check(declaration.value(overrides[declaration.name].value))
    values = {
        declaration.name: declaration.value(
            node.declare_parameter(declaration.name, declaration.default, _descriptor(declaration)).value
        )
        for declaration in declarations
    }
    given = {name for name in overrides if not name.startswith("qos_overrides.")}
    for unknown in sorted(given - {"use_sim_time"} - set(values)):
        node.get_logger().warning(unknown_parameter(unknown, values))
    return values


def _descriptor(declaration: Declaration) -> ParameterDescriptor:
    description = f"{declaration.description} {declaration.change.capitalize()}."
    descriptor = ParameterDescriptor(description=description, read_only=declaration.change == NEVER)
    if declaration.choices:
        descriptor.additional_constraints = f"one of {declaration.limits}"
    descriptor.dynamic_typing = declaration.takes_other_types
    if isinstance(declaration.default, list):
        descriptor.type = ParameterType.PARAMETER_STRING_ARRAY
    if declaration.range is not None:
        low, high = declaration.range
        if isinstance(declaration.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
