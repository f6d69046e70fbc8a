from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("silk_ros.backends.tensorrt.library", exc_type=ImportError)

from silk_ros.backends import BackendUnavailable, EngineOptions, SelectionRules
from silk_ros.backends.model import Model
from silk_ros.backends.parity import Parity
from silk_ros.backends.tensorrt import backend as tensorrt
from silk_ros.backends.tensorrt import engine_maker
from silk_ros.commands import build_engine


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise BackendUnavailable("the tensorrt backend needs an NVIDIA GPU")

    monkeypatch.setattr(tensorrt, "gpu", missing)


@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16", "int8"])
def test_without_a_gpu_it_checks_and_says_that_nothing_is_kept(
    no_gpu: None, capsys: pytest.CaptureFixture, precision: str
) -> None:
    assert build_engine.main(["--size", "96x72", "128x96", "--max-keypoints", "50", "--precision", precision]) == 1
    printed = capsys.readouterr()
    wanted = "fp16" if precision == "auto" else precision
    assert f"96x72, {wanted}: tensorrt" in printed.out and f"128x96, {wanted}: tensorrt" in printed.out
    assert "in  image UINT8 (1, 1, 72, 96)" in printed.out and "out descriptors FLOAT (1, 50, 32)" in printed.out
    assert "not kept: the tensorrt backend needs an NVIDIA GPU" in printed.err


def test_the_default_is_what_the_node_runs(no_gpu: None, capsys: pytest.CaptureFixture) -> None:
    build_engine.main([])
    printed = capsys.readouterr().out
    assert "image UINT8 (1, 1, 240, 320)" in printed and "keypoints FLOAT (1, 5000, 2)" in printed


def test_on_a_gpu_it_tells_what_it_made(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    made = []

    class Backend:
        def __init__(self, model: Model, max_keypoints: int, precision: str, **options: object) -> None:
            made.append((model.path.name, model.rules, max_keypoints, precision, options))

        def prepare(self, height: int, width: int) -> engine_maker.Prepared:
            facts = {"build_seconds": 12.34, "overlap": 0.98, "cosine": 0.9999, "displacement": 0.01}
            return engine_maker.Prepared(None, "fp16", Path("/cache/x.engine"), facts, was_cached=width == 128)

    monkeypatch.setattr(tensorrt, "TensorRtBackend", Backend)
    monkeypatch.setattr(build_engine, "program", lambda *words: " ".join(words))
    options = ["--size", "96x72", "128x96", "--optimization-level", "0", "--workspace-mb", "100", "--dla-core", "0"]
    options += ["--border", "19", "--cell-size", "32", "--max-per-cell", "10"]  # at the node's scale of 0.5
    assert build_engine.main(options) == 0
    assert made == [
        (
            "silk_vggnp_mu.onnx",
            SelectionRules(border=10, cell_size=16, max_per_cell=10),
            *(5000, "auto", {"options": EngineOptions(0, 100, 0), "progress": True}),
        ),
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "96x72, fp16, up to 5000 keypoints: built in 12.3 s"
    assert lines[1].strip() == str(Parity(0.98, 0.9999, 0.01)) and "98.0% of the keypoints" in lines[1]
    assert lines[2].strip() == "/cache/x.engine"
    assert lines[3] == "128x96, fp16, up to 5000 keypoints: already built"
    node = "silk_node --ros-args -p backend:=tensorrt -p max_keypoints:=5000 -p scale:=0.5"
    more = "-p tensorrt.optimization_level:=0 -p tensorrt.workspace_mb:=100 -p tensorrt.dla_core:=0"
    cells = "-p selection.border:=19.0 -p selection.cell_size:=32.0 -p selection.max_per_cell:=10"
    assert lines[-1] == f"wrote the engines to /cache; next: {node} {more} {cells}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.onnx"], "build_engine: no model file at 'missing.onnx'"),
        (["--optimization-level", "9"], "build_engine: optimization_level must be from 0 to 5"),
        (["--dla-core", "0"], "build_engine: there is no DLA core 0"),
        (["--size", "4x4"], "build_engine: images of 4x4"),
        (["--cell-size", "32"], "build_engine: cell_size and max_per_cell belong together"),
        (["--scale", "9"], "build_engine: scale must be above 0 and at most 4, not 9"),
    ],
)
def test_bad_input_is_one_line(no_gpu: None, capsys: pytest.CaptureFixture, arguments: list[str], message: str) -> None:
    assert build_engine.main(arguments) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith(message)


@pytest.mark.parametrize("value", ["0", "-5", "many"])
def test_counts_are_positive(capsys: pytest.CaptureFixture, value: str) -> None:
    with pytest.raises(SystemExit):
        build_engine.main([f"--max-keypoints={value}"])
    assert "is not a whole number of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["640", "640x", "x480", "640x480x3", "-1x5"])
def test_a_size_is_width_x_height(capsys: pytest.CaptureFixture, size: str) -> None:
    with pytest.raises(SystemExit):
        build_engine.main([f"--size={size}"])
    assert "is not a size such as 640x480" in capsys.readouterr().err
