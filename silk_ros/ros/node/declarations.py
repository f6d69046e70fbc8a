"""How the package's nodes declare parameters: once, with a description, a range and when they may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType
from rclpy.node import Node

# When a parameter may change.
NEVER = "set at start only"
INACTIVE = "changes while the node is not active"
ANYTIME = "changes at run time"


@dataclass(frozen=True)
class Declaration:
    """A parameter, its default, what it means, and what it may be: a range or a choice of texts."""

    name: str
    default: bool | int | float | str | list[str]
    description: str
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    change: str = NEVER


def declare(node: Node, declarations: Iterable[Declaration]) -> dict[str, Any]:
    """Declare parameters and return their values by name.

    Raises rclpy's parameter exceptions for a wrong type or range, ValueError, naming the choices, for an unknown one.
    Values that were given for parameters which do not exist are named in a warning.
    """
    declarations = tuple(declarations)
    values = {}
    for declaration in declarations:
        values[declaration.name] = node.declare_parameter(
            declaration.name, declaration.default, _descriptor(declaration)
        ).value
    check_choices(declarations, values)
    given = {name for name in getattr(node, "_parameter_overrides", {}) if not name.startswith("qos_overrides.")}
    if unknown := sorted(given - {"use_sim_time"} - set(values)):
        node.get_logger().warning(f"no such parameter: {', '.join(unknown)}; ros2 param list shows those there are")
    return values


def check_change(declaration: Declaration, value: object, active: bool) -> None:
    """Raise ValueError, naming the fix, for a value that a parameter cannot take now."""
    name = declaration.name
    if declaration.change == NEVER:
        raise ValueError(f"{name} is read-only: it is {NEVER}")
    if declaration.change == INACTIVE and active:
        raise ValueError(f"{name} cannot change while the node is active: deactivate it first")
    if type(value) is not type(declaration.default):
        raise ValueError(f"{name} takes a value of type {type(declaration.default).__name__}, not {value!r:.40}")
    if declaration.range is not None and not declaration.range[0] <= value <= declaration.range[1]:  # type: ignore[operator]
        raise ValueError(f"{name} is out of its range, {declaration.range[0]:g} to {declaration.range[1]:g}")


def check_choices(declarations: Iterable[Declaration], values: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the choices, for a value that is none of them."""
    for declaration in declarations:
        value = values[declaration.name]
        if declaration.choices and value not in declaration.choices:
            choices = ", ".join(declaration.choices)
            raise ValueError(f"parameter {declaration.name} is '{value}': choose one of {choices}")


def _descriptor(declaration: Declaration) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=f"{declaration.description} ({declaration.change})", read_only=declaration.change == NEVER
    )
    if declaration.choices:
        descriptor.additional_constraints = "one of " + ", ".join(declaration.choices)
    if isinstance(declaration.default, list):
        descriptor.type = ParameterType.PARAMETER_STRING_ARRAY
    if declaration.range is not None:
        low, high = declaration.range
        if isinstance(declaration.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
