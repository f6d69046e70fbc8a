"""The parameters of silk_node on the command line of a program that runs its front-end."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..parameters.declarations import Declaration, unknown_parameter
from ..parameters.front_end import DECLARATIONS, KNOWN
from ..parameters.given import preset_file, read_parameter_file, value_of, value_of_text

log = logging.getLogger(__name__)

# Options that stand for `--set NAME=`.
SHORTCUTS = {
    "model": "model_path",
    "max-keypoints": "max_keypoints",
    "scale": "scale",
    "rectified": "rectified",
    "ratio": "matcher.ratio",
    "min-similarity": "matcher.min_similarity",
    "double-softmax": "matcher.double_softmax",
}
# Parameters, or groups of them, that only a running node has, and what they are of.
OF_THE_NODE = {
    **dict.fromkeys(("autostart", "model_dirs", "diagnostics_period", "no_data_timeout"), "of a running node"),
    **dict.fromkeys(("image_transport", "image_reliability", "qos_overrides"), "of topics"),
    "use_sim_time": "of a running node",
}

Given = tuple[str, Any]  # name and value


def add_parameter_options(parser: argparse.ArgumentParser) -> None:
    """Add `--preset`, `--params`, `--set` and its shortcuts; `parameter_values` reads what was given."""
    precedence = (
        "--set overrides --params, and that --preset. The other options are short for --set: of two values for one "
        "parameter, the last one given is taken."
    )
    group = parser.add_argument_group("parameters, as silk_node has them", precedence)
    add = group.add_argument
    add("--preset", metavar="NAME", help="parameters that suit a program downstream: orb_slam, vins, ...")
    add("--params", type=Path, metavar="FILE", help="parameter file of ROS, as silk_node takes it")
    add("--set", **_given(_assignment), metavar="NAME=VALUE", help="one parameter; may be repeated")
    for option, name in SHORTCUTS.items():
        add(f"--{option}", **_given(partial(_value, name)), metavar="VALUE", help=f"--set {name}=VALUE")


def used_parameters(unused: Mapping[str, str]) -> list[Declaration]:
    """The declarations of all parameters but the unused ones."""
    return [declaration for declaration in DECLARATIONS if not _reason(declaration.name, unused)]


def parameter_values(
    options: argparse.Namespace, defaults: Mapping[str, Any], unused: Mapping[str, str]
) -> dict[str, Any]:
    """The values of all parameters: what was set, else what is in the parameter file, the preset or `defaults`.

    unused: parameters, or groups of them, that the program does not use, and why. They keep their defaults: those in
            files are named in the log. Unknown ones there are named too, as the node does.

    Raises OSError, and ValueError, naming the fix, for files and values that cannot be used, and for an unused
    parameter that was set.
    """
    values = {declaration.name: declaration.default for declaration in DECLARATIONS} | dict(defaults)
    files = [preset_file(options.preset)] if options.preset else []
    for path in [*files, *([options.params] if options.params else [])]:
        values |= dict(_from_file(path, unused))
    for name, value in options.set:
        if reason := _reason(name, unused):
            raise ValueError(f"{name} has no effect here, as it is {reason}: leave it out")
        values[name] = value
    return values


def _from_file(path: Path, unused: Mapping[str, str]) -> Iterator[Given]:
    """The parameters of a file that are used; the others are named in the log."""
    left_out = []
    for name, given in read_parameter_file(path).items():
        if reason := _reason(name, unused):
            default = KNOWN[name].default if name in KNOWN else None
            left_out += [f"{name} ({reason})"] if given != default else []
        elif name not in KNOWN:
            log.warning("'%s': %s", path, unknown_parameter(name, KNOWN))
        else:
            try:
                yield name, value_of(name, given)
            except ValueError as error:
                raise ValueError(f"'{path}': {error}") from error
    if left_out:
        log.info("'%s': not used here: %s", path, ", ".join(left_out))


def _reason(name: str, unused: Mapping[str, str]) -> str:
    """Why a parameter is not used; empty where it is."""
    return unused.get(name) or unused.get(name.partition(".")[0], "")


def _given(read: Any) -> dict[str, Any]:
    """Options of an argument that adds a name and a value to `set`."""
    return {"dest": "set", "action": "append", "default": [], "type": read}


def _assignment(text: str) -> Given:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE, such as selection.border=19")
    return _value(name, value)


def _value(name: str, text: str) -> Given:
    try:
        return name, value_of_text(name, text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
