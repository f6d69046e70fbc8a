"""The commands with a source that is missing, empty, unreadable or half readable: the table of docs/sources.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damaged_sources import KINDS, SITUATIONS, make_source
from numpy.typing import NDArray

from silk_ros.commands import evaluate, quantize, run_sequence
from silk_ros.paths import default_model

Images = list[NDArray[np.uint8]]


@pytest.fixture
def views(photo: NDArray[np.uint8]) -> Images:
    """A camera that moves along a photograph."""
    return [np.ascontiguousarray(photo[50:170, 4 * index : 4 * index + 160]) for index in range(12)]


def run_bag(source: Path, output: Path) -> int:
    return run_sequence.main([str(source), "--output", str(output), "--format", "bag", "--max-keypoints", "100"])


def run_colmap(source: Path, output: Path) -> int:
    pytest.importorskip("pycolmap")
    return run_sequence.main([str(source), "--output", str(output), "--format", "colmap", "--max-keypoints", "100"])


def run_quantize(source: Path, output: Path) -> int:
    return quantize.main(
        [str(default_model()), "--images", str(source), "--pairs", str(source), "--output", str(output)]
    )


RUNS = [run_bag, run_colmap, run_quantize]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("kind", "situation"), SITUATIONS)
def test_a_source_without_a_usable_image_is_one_error_and_leaves_nothing_behind(
    run: Callable, kind: str, situation: str, tmp_path: Path, views: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_source(tmp_path / "data", kind, situation, views)
    assert run(source, tmp_path / "out") == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(("run_sequence: ", "quantize: ")) and str(source) in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_readable_part_of_a_source_is_used_and_the_rest_counted(
    run: Callable, kind: str, tmp_path: Path, views: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_source(tmp_path / "data", kind, "half", views)
    assert run(source, tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "1 was left out" in printed.err and str(source) in printed.err
    assert (tmp_path / "out").exists()
    if run is not run_quantize:
        assert "11 images" in printed.out


@pytest.mark.parametrize("situation", ["missing", "empty", "unreadable", "half"])
def test_an_evaluation_is_not_made_with_a_part_of_its_data(
    situation: str, tmp_path: Path, views: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its numbers would be those of other data."""
    source = make_source(tmp_path, "folder", situation, views)
    if source.exists():
        source.rename(tmp_path / "image_0")
        (tmp_path / "calib.txt").write_text("P0: 150 0 79.5 0 0 150 59.5 0 0 0 1 0")
        (tmp_path / "poses.txt").write_text("\n".join(f"1 0 0 {index / 10} 0 1 0 0 0 0 1 0" for index in range(12)))
    arguments = ["relative-pose", str(tmp_path), "--methods", "orb", "--output", str(tmp_path / "report")]
    assert evaluate.main(arguments) == 1
    assert str(tmp_path) in capsys.readouterr().err
