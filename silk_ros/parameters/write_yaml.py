"""Writes `config/silk.yaml`, the parameters of silk_node with their defaults, from the declarations.

python -m silk_ros.parameters.write_yaml
"""

from __future__ import annotations

import json
import textwrap
from functools import partial
from itertools import groupby

from ..command_line import command_parser
from ..paths import share_directory
from .declarations import ANYTIME, Declaration
from .front_end import DECLARATIONS

WIDTH = 120  # characters of a line
HEAD = """\
# Parameters of silk_node with their defaults. Copy what you change into a file of your own and pass it with
#   ros2 launch silk_ros silk.launch.py params_file:=my.yaml
# A parameter changes at run time, unless its comment says otherwise:
#   ros2 param set /silk scale 0.7
# This file is written from silk_ros/parameters/front_end.py by: python -m silk_ros.parameters.write_yaml
/**:
  ros__parameters:
"""


def parameter_file() -> str:
    """The text of the file: the parameters in the order of the declarations, those of a group in a mapping."""
    parts = [HEAD]
    for group, declarations in groupby(DECLARATIONS, lambda declaration: declaration.name.rpartition(".")[0]):
        if group:
            parts.append(f"    {group}:\n")
        parts += [_entry(declaration, "      " if group else "    ") for declaration in declarations]
    return "".join(parts)


def _entry(declaration: Declaration, indent: str) -> str:
    """A parameter with its default, below a comment that says all that is declared."""
    limits = f"{'Choices' if declaration.choices else 'Range'}: {declaration.limits}." if declaration.limits else ""
    change = "" if declaration.change == ANYTIME else f"{declaration.change.capitalize()}."
    wrap = partial(textwrap.wrap, width=WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    value = f"{indent}{declaration.name.rpartition('.')[2]}: {json.dumps(declaration.default)}\n"
    return "\n".join([*wrap(declaration.description), *wrap(f"{limits} {change}".strip()), value])


def main(arguments: list[str] | None = None) -> None:
    command_parser("python -m silk_ros.parameters.write_yaml", __doc__).parse_args(arguments)
    path = share_directory() / "config" / "silk.yaml"
    path.write_text(parameter_file(), encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
