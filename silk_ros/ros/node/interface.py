"""What a node offers to the ROS graph, and the command line that tells it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rclpy.utilities import remove_ros_args

from ...command_line import command_parser
from ...parameters.declarations import Declaration
from ...parameters.help import WIDTH, default_text, parameter_help

DIAGNOSTICS = {"/diagnostics": "diagnostic_msgs/DiagnosticArray, every second: state and counters"}


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
        try:
            given = remove_ros_args(given)
        except RuntimeError as error:
            reason = str(error).partition(", at ")[0]  # without the places in the source of ROS
            parser.error(f"ROS does not take what is behind --ros-args ({reason}): '{self.name} --help' has the form")
        _, unknown = parser.parse_known_args(given)
        if unknown:
            first, here = self.declarations[0], " ".join(unknown)
            example = here if unknown[0].startswith(("-p", "-r")) else f"-p {first.name}:={default_text(first)}"
            fix = f"parameters and remappings stand behind --ros-args: {self.name} --ros-args {example}"
            parser.error(f"unknown arguments '{here}': {fix}")

    def _text(self) -> str:
        """Topics, services and parameters."""
        parts = [
            _listed("topics subscribed to:", self.subscribed),
            _listed("topics published:", self.published),
            _listed("services:", self.services),
            parameter_help(self.declarations, changes=True),
        ]
        return "\n\n".join(filter(None, parts))


def _listed(title: str, entries: Mapping[str, str]) -> str:
    """Names and meanings below a title; empty without entries."""
    lines = [
        textwrap.fill(f"{name}: {text}.", WIDTH, initial_indent="  ", subsequent_indent=" " * 6)
        for name, text in entries.items()
    ]
    return "\n".join([title, *lines]) if lines else ""
