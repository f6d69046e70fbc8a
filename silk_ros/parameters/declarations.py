"""Declarations of parameters: default, description, limits, and when they may change, all written once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..geometry.camera import RECTIFIED

# When a parameter may change.
NEVER = "set at start only"
INACTIVE = "changes only while the node is not active"
ANYTIME = "changes at run time"


@dataclass(frozen=True)
class Declaration:
    """A parameter of a node.

    range: smallest and largest number. choices: the allowed texts; `true` and `false` may be given as booleans too,
    which ROS makes of them on a command line and in YAML. numbers: whether a text may be given as a whole number, for
    the same reason. change: NEVER, INACTIVE or ANYTIME. off: the number that switches a filter off, None for other
    parameters. explain: raises ValueError, naming the fix, for some numbers out of range. description: sentences, set
    by `described`.
    """

    name: str
    default: bool | int | float | str | list[str]
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    numbers: bool = False
    change: str = NEVER
    off: float | None = None
    explain: Callable[[float], None] | None = None
    description: str = ""

    def described(self, sentences: str) -> Declaration:
        """The same declaration with a description, which also names the number that means off."""
        off = "" if self.off is None else f" {self.off:g} switches this off."
        return replace(self, description=sentences + off)

    @property
    def takes_other_types(self) -> bool:
        """Whether a boolean or a number may stand for a text."""
        return self.numbers or "true" in self.choices

    def value(self, given: Any) -> Any:
        """The value that a given one stands for: the text of a boolean or a number where these are taken."""
        other = bool if "true" in self.choices else int
        return str(given).lower() if self.takes_other_types and type(given) is other else given

    def check(self, given: Any) -> None:
        """Raise ValueError, naming the type, range or choices, for a value that the parameter can never take."""
        if self.choices or self.numbers:
            check_choices([self], {self.name: given})
        number = isinstance(given, (int, float)) and not isinstance(given, bool)
        if number and self.explain is not None:
            self.explain(given)
        if number and self.range is not None and not self.range[0] <= given <= self.range[1]:
            raise ValueError(f"{self.name} is out of its range, {self.limits}: {given:.9g} was given")
        if type(given) is not type(self.default):
            kind, hint = type(self.default).__name__, self._as_written(given)
            raise ValueError(f"{self.name} takes a value of type {kind}, not {given!r:.40}{hint}")

    def _as_written(self, given: Any) -> str:
        """How to write a number that was given as one of another type, or a text that was read as something else."""
        default = self.default
        if isinstance(default, str):
            return f": {written_as_text(given)}"
        if type(default) in (int, float) and type(given) in (int, float) and given == type(default)(given):
            return f": write {type(default)(given)}"
        return ""

    @property
    def limits(self) -> str:
        """The choices or the range as text; empty where there are none."""
        if self.choices:
            return ", ".join(self.choices)
        return "" if self.range is None else f"{self.range[0]:.9g} to {self.range[1]:.9g}"


def written_as_text(given: object) -> str:
    """How to write what ROS reads as a number or a boolean, so that it stays a text."""
    return f"write it as a text: '{given}' in a file, \"'{given}'\" on a command line"


def check_change(declaration: Declaration, value: object, active: bool) -> None:
    """Raise ValueError, naming the fix, for a value that a parameter cannot take at present."""
    name = declaration.name
    if declaration.change == NEVER:
        raise ValueError(f"{name} is read-only: it is {NEVER}")
    if declaration.change == INACTIVE and active:
        raise ValueError(f"{name} cannot change while the node is active: deactivate it first")
    declaration.check(value)


def unknown_parameter(name: str, known: Iterable[str]) -> str:
    """What to say of a parameter that does not exist: similar ones, or where they are listed."""
    similar = get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(similar)}?" if similar else "'silk_node --help' or 'ros2 param list' lists them"
    return f"no parameter '{name}': {hint}"


def check_choices(declarations: Iterable[Declaration], values: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the choices, for an unknown choice, and for what is no text where one is needed."""
    for declaration in declarations:
        value = values[declaration.name]
        if declaration.numbers and not isinstance(value, str):
            raise ValueError(f"parameter {declaration.name} is {value!r}, which is no text: {written_as_text(value)}")
        if declaration.choices and value not in declaration.choices:
            raise ValueError(f"parameter {declaration.name} is '{value}': choose one of {declaration.limits}")


def given_path(text: str) -> Path | None:
    """The path that a parameter names, with ~ for the home folder; None for an empty text."""
    return Path(text).expanduser() if text else None


# Of all nodes that take images and camera_info.
RECTIFIED_DECLARATION = Declaration("rectified", RECTIFIED[0], choices=RECTIFIED).described(
    "Whether the images are rectified already, so that P of camera_info holds for them and not K and D; auto: by the "
    "name of their topic, such as image_rect or rect/image."
)
