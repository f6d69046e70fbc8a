"""The command and what it computes; times themselves are never tested."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from silk_ros import match
from silk_ros.backends import BackendUnavailable
from silk_ros.command_line import program
from silk_ros.commands import benchmark as command
from silk_ros.evaluation.speed import matching
from silk_ros.evaluation.speed.estimate import Cost, Trial, in_words
from silk_ros.evaluation.speed.extraction import (
    Pipeline,
    Timing,
    find_pipelines,
    noise_image,
    published_flops,
    resized_image,
)
from silk_ros.evaluation.speed.measurements import fastest
from silk_ros.evaluation.speed.timing import interleaved, limited_threads

SMALL = ["--sizes", "80x64", "96x64", "--keypoints", "20", "50", "--repeats", "1", "--threads", "1"]


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is quick to load and to match."""
    monkeypatch.setattr(command, "PEERS", ("orb",))
    monkeypatch.setattr(matching, "SIZES", (30, 60))
    monkeypatch.setattr("silk_ros.evaluation.speed.extraction.GEMM_SIDE", 32)


@pytest.mark.usefixtures("fewer")
def test_the_command_writes_json_and_a_chart_and_prints_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "folder"
    assert command.main([*SMALL, "--backends", "onnxruntime", "--output", str(output)]) == 0
    results = json.loads((output / "benchmark.json").read_text())
    rows = results["extraction"]
    assert {(*row["size"], row["keypoints"]) for row in rows} == {
        (80, 64, 20),
        (80, 64, 50),
        (96, 64, 20),
        (96, 64, 50),
    }
    assert {row["pipeline"]: row["peer"] for row in rows} == {
        "onnxruntime fp32": False,
        "onnxruntime int8": False,
        "ORB": True,
    }
    for row in rows:
        assert row["ms"]["p25"] <= row["ms"]["median"] <= row["ms"]["p75"]
        if not row["peer"]:
            assert row["found"] == row["keypoints"]
            expected = published_flops(*row["size"]) / row["ms"]["median"] / 1e6
            assert row["gflops"] == pytest.approx(expected, abs=0.1) and row["of_gemm"] > 0
    assert set(results["by_threads"]["ms"]) == {"1"} and set(results["matching_ms"]) == {"30", "60"}
    assert results["threads"] == 1 and results["versions"]["onnxruntime"] and results["models"]["SiLK"]["sha256"]
    captured = capsys.readouterr()
    printed = captured.out
    assert re.search(r"^about \d+ (s|min) on this machine", printed, re.MULTILINE) and "100% |" in captured.err
    following = program("benchmark", "--rate", "30", "--size", "80x64")
    assert f"wrote {output / 'benchmark.json'} and benchmark.png; next: {following} (your" in printed
    assert results["automatic"].startswith("backend and precision auto: ") and results["automatic"] in printed
    assert "onnxruntime int8" in printed and "ORB" in printed and "times faster" in printed
    chart = cv2.imread(str(output / "benchmark.png"))
    assert chart is not None and chart.shape[1] > 1000


@pytest.mark.usefixtures("fewer")
def test_without_matplotlib_there_is_no_chart_and_a_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "silk_ros.evaluation.speed.chart", raising=False)
    arguments = [*SMALL, "--quick", "--backends", "onnxruntime", "--output", str(tmp_path)]
    assert command.main(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark.json"]
    rows = json.loads((tmp_path / "benchmark.json").read_text())["extraction"]
    assert {(*row["size"], row["keypoints"]) for row in rows} == {(80, 64, 20)}  # the first ones only
    assert "pip install matplotlib" in capsys.readouterr().out


def test_what_the_machine_refuses_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Pipeline, keypoints: int, threads: int) -> object:
        if self.backend == "openvino":
            raise BackendUnavailable("not installed")
        if self.precision == "int8":
            raise ValueError("no int8 here")
        return lambda image: None

    monkeypatch.setattr(Pipeline, "load", load)
    found, skipped = find_pipelines(["openvino", "onnxruntime"], noise_image(32, 32), 1)
    assert found == [Pipeline("onnxruntime", "fp32")]
    assert set(skipped) == {"openvino", "onnxruntime int8"} and skipped["onnxruntime int8"] == "no int8 here"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image", "missing.png"], "cannot read the image 'missing.png'"),
        (["--sizes", "5x5"], "receptive field"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*SMALL, "--backends", "onnxruntime", "--output", str(tmp_path), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("benchmark: ") and message in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["--sizes", "640"], ["--sizes", "0x480"], ["--keypoints", "0"], ["--backends", "none"]]
)
def test_impossible_arguments_end_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2 and arguments[1] in capsys.readouterr().err


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_limited_while_it_measures_only(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blas() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    seen: list[int] = []

    def measure(*_: object) -> None:
        seen.extend([*blas(), cv2.getNumThreads()])
        raise ValueError("seen")

    before = blas()
    monkeypatch.setattr(command, "measure", measure)
    arguments = [*SMALL, "--threads", str(threads), "--backends", "onnxruntime", "--output", str(tmp_path)]
    assert command.main(arguments) == 1
    assert before and set(seen) == {threads} and blas() == before


def test_torch_is_limited_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    torch = SimpleNamespace(get_num_threads=lambda: 7, set_num_threads=calls.append)
    monkeypatch.setitem(sys.modules, "torch", torch)
    with limited_threads(3):
        assert calls == [3]
    assert calls == [3, 7]


def test_operations_are_those_of_the_published_network() -> None:
    assert published_flops(640, 480) == pytest.approx(45.5e9, rel=2e-3)
    # One position: 5x5 of the first layer, 3x3 of the second, one of the heads.
    weights = 9 * 64 * 25 + 9 * 64 * 64 * 9 + 2 * 9 * 64 * 32 + 32 + 32 * 32
    assert published_flops(7, 7) == 2 * weights


def test_the_fastest_is_that_of_the_first_setting() -> None:
    def timing(pipeline: str, keypoints: int, ms: float) -> Timing:
        return Timing(pipeline, False, (64, 64), keypoints, keypoints, {"median": ms}, None, None)

    timings = [
        timing("a fp32", 10, 2.0),
        timing("b int8", 10, 1.0),
        timing("a fp32", 20, 0.5),
        timing("b int8", 20, 3.0),
    ]
    assert fastest([Pipeline("a", "fp32"), Pipeline("b", "int8")], timings) == Pipeline("b", "int8")


def test_candidates_take_turns_and_the_first_round_is_not_timed() -> None:
    calls: list[str] = []
    times = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, "test")
    assert calls == ["a", "b"] * 4
    assert set(times) == {"a", "b"} and times["a"].keys() == {"p25", "median", "p75"}


def test_the_expected_time_follows_from_one_run_of_each() -> None:
    small, large = noise_image(40, 20), noise_image(40, 40)
    trial = Trial(
        {Pipeline("a", "fp32"): Cost(3.0, 1.0), Pipeline("b", "int8"): Cost(2.0, 0.5)}, [Cost(0.5, 0.1)], 0.01
    )
    seconds = trial.seconds([small, large], [10, 20], {1000: 20, 2000: 20}, threads=2, repeats=9)
    extraction = [5.5 + 10 * 1.6, 5.5 + 10 * 1.6, 5.5 + 10 * 3.2, 5.5 + 10 * 3.2]
    by_threads = (2 + 10 * 0.5 * 2) + (2 + 10 * 0.5)
    assert seconds == pytest.approx([*extraction, by_threads, 22 * 0.01, 22 * 0.04])
    assert (in_words(0.2), in_words(25.4), in_words(240)) == ("1 s", "25 s", "4 min")


def test_a_trial_runs_everything_once_to_load_and_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def load(self: Pipeline, keypoints: int, threads: int) -> object:
        calls.append(f"load {self.name}")
        return lambda image: calls.append(f"run {self.name}")

    monkeypatch.setattr(Pipeline, "load", load)
    monkeypatch.setattr("silk_ros.evaluation.speed.extraction.GEMM_SIDE", 32)
    trial = Trial.of([Pipeline("a", "fp32")], ["orb"], noise_image(64, 64), 10, 1, 30)
    assert calls == ["load a fp32", "run a fp32", "run a fp32"]
    assert len(trial.others) == 2 and trial.matching > 0
    assert all(cost.first >= 0 and cost.again >= 0 for cost in [*trial.pipelines.values(), *trial.others])


def test_the_full_matrix_gives_the_matches_of_silk_ros() -> None:
    a, b = matching.random_features(300, 1), matching.random_features(300, 2)
    found = matching.full_matrix(a, b)
    assert 50 < len(found) < 300 and np.array_equal(found, match(a, b).indices)


def test_matches_that_differ_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "full_matrix", lambda a, b: np.zeros((1, 2), int))
    with pytest.raises(RuntimeError, match="differently"):
        matching.measure_matching(50, 1)


def test_the_noise_has_texture_at_all_scales() -> None:
    image = noise_image(320, 240)
    assert image.shape == (240, 320) and image.dtype == np.uint8 and np.array_equal(image, noise_image(320, 240))
    for octave in range(5):
        assert cv2.resize(image, (320 >> octave, 240 >> octave), interpolation=cv2.INTER_AREA).std() > 15


def test_a_picture_is_read_in_grey_and_resized(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.full((20, 30, 3), 90, np.uint8))
    assert np.array_equal(resized_image(path, 12, 8), np.full((8, 12), 90, np.uint8))
