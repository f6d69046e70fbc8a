"""The tables in README.md are those of the committed results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.common import RESULTS
from benchmarks.readme_table import END, README, START, main, replaced, tables


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
    assert "pipeline-*.json" in capsys.readouterr().err


def test_each_machine_has_a_table_of_its_own_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in RESULTS.glob("*-avx2.json"):
        shutil.copy(path, tmp_path)
        other = json.loads(path.read_text(encoding="utf-8")) | {"machine": "Other CPU, 8 cores, NEON"}
        (tmp_path / path.name.replace("avx2", "neon")).write_text(json.dumps(other), encoding="utf-8")
    text = tables(tmp_path)
    assert text.count("| naive export |") == 2 and text.count("(not measured there: node)") == 2
    assert text.index(", AVX2") < text.index("**On Other CPU, 8 cores, NEON**")
    other = tmp_path / "matching-neon.json"
    other.write_text(other.read_text(encoding="utf-8").replace("Other CPU", "Third CPU"), encoding="utf-8")
    assert main(["--check", "--results", str(tmp_path)]) == 1
    assert "results of several machines" in capsys.readouterr().err
