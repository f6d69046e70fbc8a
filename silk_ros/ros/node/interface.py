"""What a node offers to the ROS graph, and the command line that tells it."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rclpy.utilities import remove_ros_args

from ...command_line import command_parser
from ...parameters.declarations import Declaration
from ...parameters.help import WIDTH, default_text, parameter_help

DIAGNOSTICS = {"/diagnostics": "diagnostic_msgs/DiagnosticArray, state and counters, sent at regular intervals"}

# Options of ROS behind --ros-args that take a value.
PARAMETER_OPTIONS = ("-p", "--param")
OPTIONS = (*PARAMETER_OPTIONS, "-r", "--remap", "--params-file", "--log-level", "--log-config-file", "-e", "--enclave")
SWITCHES = ("--enable-", "--disable-")  # the beginnings of those that take none


@dataclass(frozen=True)
class Interface:
    """The interface of a node, for its help text.

    name:                  of the executable.
    about:                 docstring of the module.
    declarations:          of the parameters.
    subscribed, published: types and meanings of the topics, by their names before any remapping.
    services:              the same of the services, besides those of parameters, which all nodes have.
    """

    name: str
    about: str | None
    declarations: Sequence[Declaration]
    subscribed: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)

    def check_arguments(self, arguments: list[str] | None) -> None:
        """Refuse arguments that ROS does not take, and answer `--help` and `--version`; ROS is not started for that.

        arguments: those of the process, without its name; None: from the command line.

        Raises SystemExit where the node is not to start.
        """
        parser = command_parser(self.name, self.about)
        parser.usage = (
            "%(prog)s [-h] [--version] [--ros-args [-p NAME:=VALUE] [-r TOPIC:=OTHER] [--params-file FILE] ...]"
        )
        parser.epilog = self._text()
        given = sys.argv[1:] if arguments is None else arguments
        if asked := [word for word in given if word in ("-h", "--help", "--version")]:
            parser.parse_args(asked[:1])
        others, of_ros = _split(given)
        if others:
            here, fix = " ".join(others), shlex.join(self._as_ros_takes(others))
            where = "parameters and remappings stand behind --ros-args"
            parser.error(f"unknown arguments '{here}': {where}: {self.name} --ros-args {fix}")
        for option, rule in pairwise(of_ros):
            name, _, value = rule.partition(":=")
            if option in PARAMETER_OPTIONS and not (name and value):
                example = self._example(name.partition("=")[0])
                parser.error(f"'{option} {rule}' sets no parameter: write NAME:=VALUE, for example -p {example}")
        try:
            remove_ros_args(["--ros-args", *of_ros])
        except RuntimeError as error:
            reason = str(error).partition(", at ")[0]  # without the places in the source of ROS
            parser.error(f"ROS does not take what is behind --ros-args ({reason}): '{self.name} --help' has the form")

    def _as_ros_takes(self, words: list[str]) -> list[str]:
        """Arguments as they have to stand behind --ros-args; an example where nothing of them can."""
        names, rest = {each.name for each in self.declarations}, list(words)
        fixed: list[str] = []
        while rest:
            word = rest.pop(0)
            name, equals, value = word.removeprefix("--").partition("=")
            if word in OPTIONS:
                fixed += [word, *rest[:1]]
                del rest[:1]
            elif word.startswith(SWITCHES):
                fixed.append(word)
            elif word.startswith("--") and name in names:
                has_value = bool(rest) and not rest[0].startswith("--")
                fixed += ["-p", f"{name}:={value}" if equals else self._example(name, *rest[:has_value])]
                del rest[: 0 if equals else has_value]
            elif ":=" in word:
                fixed += ["-p" if word.partition(":=")[0] in names else "-r", word]
        return fixed or ["-p", self._example("")]

    def _example(self, name: str, value: str = "") -> str:
        """A rule that sets a parameter, without a value to its default; of an unknown name, the first parameter."""
        declaration = {each.name: each for each in self.declarations}.get(name, self.declarations[0])
        return f"{declaration.name}:={value or default_text(declaration) or 'VALUE'}"

    def _text(self) -> str:
        """Topics, services and parameters."""
        parts = [
            _listed("topics subscribed to:", self.subscribed),
            _listed("topics published:", self.published),
            _listed("services:", self.services),
            parameter_help(self.declarations, changes=True),
        ]
        return "\n\n".join(filter(None, parts))


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments that do not stand behind --ros-args, and those that do, until `--`."""
    parts: tuple[list[str], list[str]] = [], []
    of_ros = False
    for word in arguments:
        if word == "--ros-args" or (of_ros and word == "--"):
            of_ros = word == "--ros-args"
        else:
            parts[of_ros].append(word)
    return parts


def _listed(title: str, entries: Mapping[str, str]) -> str:
    """Names and meanings below a title; empty without entries."""
    lines = [
        textwrap.fill(f"{name}: {text}.", WIDTH, initial_indent="  ", subsequent_indent=" " * 6)
        for name, text in entries.items()
    ]
    return "\n".join([title, *lines]) if lines else ""
