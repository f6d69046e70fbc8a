from __future__ import annotations

import os
from pathlib import Path

import pytest

from silk_ros.ros.demo.results import Results


def test_results_replace_those_of_the_run_before(tmp_path: Path) -> None:
    output = tmp_path / "new" / "output"
    for names in (("frames.csv", "trajectory.png"), ("frames.csv", "overlay.png")):
        results = Results(output)
        for name in names:
            (results.folder / name).write_text(str(names))
        assert set(results.put_in_place()) == set(names)
        results.discard()
        assert {path.name for path in output.iterdir()} == set(names)
        assert {path.read_text() for path in output.iterdir()} == {str(names)}
        assert os.listdir(tmp_path) == ["new"] and os.listdir(output.parent) == ["output"]


def test_a_discarded_run_leaves_the_results_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "frames.csv").write_text("old")
    results = Results(tmp_path / "output")
    (results.folder / "frames.csv").write_text("new")
    results.discard()
    assert (tmp_path / "output" / "frames.csv").read_text() == "old" and os.listdir(tmp_path) == ["output"]


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    for name in ("overlay.png", "thesis.tex"):
        (output / name).write_text("")
    with pytest.raises(ValueError, match=r"not of the demo \(thesis.tex\).*--output"):
        Results(output)
    assert set(os.listdir(output)) == {"overlay.png", "thesis.tex"} and os.listdir(tmp_path) == ["output"]
    with pytest.raises(ValueError, match="is a file: name a folder with --output"):
        Results(output / "thesis.tex")
