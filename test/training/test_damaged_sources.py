"""What the training programs do with a source that is missing, empty, unreadable or half readable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from damaged_sources import KINDS, SITUATIONS, make_source

from training import finetune, train

SETTINGS = ["steps=2", "map_size=20", "warmup=1", "bf16=false", "validation_photos=1"]
VIEWS = [np.dstack([skimage.data.camera()[100:180, 100 + 4 * i : 200 + 4 * i]] * 3) for i in range(24)]


def run_finetune(source: Path, output: Path) -> int:
    return finetune.main([str(source), "--output", str(output), "--hold-out", "0.5", *SETTINGS])


def run_train(source: Path, output: Path) -> int:
    return train.main(["--data", str(source), "--output", str(output), *SETTINGS])


RUNS = [run_finetune, run_train]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("kind", "situation"), SITUATIONS)
def test_a_source_without_a_usable_image_is_one_error_and_leaves_nothing_behind(
    run: Callable, kind: str, situation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_source(tmp_path / "data", kind, situation, VIEWS)
    assert run(source, tmp_path / "out") == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(("finetune: ", "train: ")) and str(source) in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_readable_part_of_a_source_is_used_and_the_rest_counted(
    run: Callable, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(finetune, "export_better", lambda *_: tmp_path / "tuned.onnx")  # two steps make nothing better
    source = make_source(tmp_path / "data", kind, "half", VIEWS)
    assert run(source, tmp_path / "out") == 0
    printed = capsys.readouterr().err
    assert str(source) in printed and "left out" in printed
