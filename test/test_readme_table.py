"""The tables in README.md are those of the committed results."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.readme_table import END, README, START, main, replaced


def test_the_readme_shows_the_committed_results() -> None:
    assert main(["--check"]) == 0


def test_a_table_that_is_out_of_date_is_told_and_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copy(README, tmp_path / "README.md"))
    copy.write_text(replaced(copy.read_text(encoding="utf-8"), "| old |"), encoding="utf-8")
    assert main(["--check", "--readme", str(copy)]) == 1
    assert "is not up to date" in capsys.readouterr().err
    assert main(["--readme", str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == README.read_text(encoding="utf-8")


def test_missing_markers_and_results_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=f"no {START} and {END}"):
        replaced("text", "block")
    assert main(["--check", "--results", str(tmp_path)]) == 1
    assert "pipeline.json" in capsys.readouterr().err
