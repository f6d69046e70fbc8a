"""The view without the package that it needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_without_rerun_the_node_names_the_remedy(spawn: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rerun.py").write_text("raise ImportError('No module named rerun')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = spawn("view_node", "--ros-args", "-p", "viewer:=file", PYTHONPATH=path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in errors
    assert "view_node: cannot start: the view needs the package rerun-sdk" in errors
    assert "pip install 'silk_ros[view]'" in errors
