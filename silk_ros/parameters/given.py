"""Values of the parameters of silk_node as people give them: in the parameter files of ROS, and in presets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from ..paths import share_directory
from .declarations import Declaration, unknown_parameter
from .front_end import KNOWN

NODE = "silk"
WILDCARDS = ("*", "**")
SECTION = "ros__parameters"


def preset_file(name: str) -> Path:
    """The parameter file of a preset. Raises ValueError, naming the presets, where there is none of this name."""
    files = {path.stem: path for path in sorted((share_directory() / "config" / "presets").glob("*.yaml"))}
    if name not in files:
        raise ValueError(f"no preset '{name}': the presets are {', '.join(files) or 'not installed'}")
    return files[name]


def read_parameter_file(path: Path) -> dict[str, Any]:
    """The parameters of silk_node in a parameter file of ROS by name, as they are written there.

    Sections of other nodes are left out; a later section overrides an earlier one. Raises OSError, and ValueError,
    naming the fix, for a file that is no parameter file, and for one with parameters of several silk_nodes.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no parameter file '{path}': copy config/silk.yaml and change it") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' is no YAML file ({error}): see config/silk.yaml") from error
    sections = [(name, values) for name, values in _sections(content) if name.rpartition("/")[2] in (NODE, *WILDCARDS)]
    if not sections:
        raise ValueError(f"'{path}' has no parameters of {NODE}: write them below '/**:' and '{SECTION}:'")
    nodes = sorted({name for name, _ in sections if name.endswith(NODE)})
    if len(nodes) > 1:
        raise ValueError(f"'{path}' has parameters of {' and '.join(nodes)}: give a file of one of them")
    return {name: value for _, values in sections for name, value in _flat(values)}


def value_of(name: str, given: Any) -> Any:
    """The value that a parameter takes where one is given, a whole number for a decimal one included.

    Raises ValueError, naming the parameter, its type and its limits or choices, for what it cannot take.
    """
    declaration = declaration_of(name)
    value = declaration.value(given)
    if isinstance(declaration.default, float) and type(value) is int:
        value = float(value)
    declaration.check(value)
    return value


def value_of_text(name: str, text: str) -> Any:
    """The value of a parameter from a command line. Raises as `value_of` does."""
    kind = type(declaration_of(name).default)
    given: Any = text
    if kind is float:
        with suppress(ValueError):
            given = float(text)  # YAML takes 1e-3 for a text
    elif kind is not str:
        with suppress(yaml.YAMLError):
            given = yaml.safe_load(text)
    return value_of(name, given)


def declaration_of(name: str) -> Declaration:
    """The declaration of a parameter. Raises ValueError, naming similar ones, where there is none."""
    if name not in KNOWN:
        raise ValueError(unknown_parameter(name, KNOWN))
    return KNOWN[name]


def _sections(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The sections of parameters in the content of a file, with the names of their nodes."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if key == SECTION:
            yield name, value
        else:
            yield from _sections(value, f"{name}/{str(key).strip('/')}")


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters by name, those of groups with a dot."""
    for key, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
