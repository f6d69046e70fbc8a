"""How a program is started on this machine, in the words that a user copies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from silk_ros.command_line import executable, is_here, program


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this Python, below the current one and with one program; the shell finds nothing."""
    folder = tmp_path / "my env" / "bin"
    folder.mkdir(parents=True)
    (folder / "silk_node").touch()
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "shell"))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_program_beside_this_python_is_named_by_its_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("silk_node", "--ros-args", "-p", "a:=b c") == "'my env/bin/silk_node' --ros-args -p 'a:=b c'"
    monkeypatch.chdir(folder)
    assert program("silk_node") == f"'{folder / 'silk_node'}'"
    monkeypatch.chdir(folder.parent)
    assert executable("silk_node") == "bin/silk_node"


def test_a_program_that_the_shell_finds_is_named(folder: Path, tmp_path: Path) -> None:
    assert not is_here("benchmark")
    shell = tmp_path / "shell"
    shell.mkdir()
    (shell / "benchmark").touch(0o755)
    assert is_here("benchmark") and program("benchmark", "--quick") == "benchmark --quick"


@pytest.mark.usefixtures("folder")
def test_any_other_program_is_one_of_a_ros_installation() -> None:
    assert program("benchmark", "--quick") == "ros2 run silk_ros benchmark --quick"
