"""The benchmark of a CUDA machine, as far as a machine without one can tell."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.common import table
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import pipelines as gpu_pipelines
from benchmarks.gpu import tensorrt_stages as gpu_tensorrt
from benchmarks.gpu.__main__ import check_targets, measure
from benchmarks.gpu.pipelines import COMPILED, EAGER, OnnxRuntimeRunner, candidates, frames, load
from benchmarks.gpu.report import Row, markdown
from benchmarks.gpu.tensorrt_stages import Engines, TensorRtRunner, Workload, try_in_child
from benchmarks.gpu.torch_pipelines import TorchPipeline
from silk_ros import Extractor, Features, Matches, match
from silk_ros.backends.tensorrt.engine_cache import EngineCache

Image = NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "benchmarks" / "gpu.sh"
SMALL = Workload(128, 96, 200)
H100 = {"name": "NVIDIA H100 80GB HBM3", "compute_capability": "9.0", "libraries": {"torch": "2"}}


class Counter:
    """A pipeline that only remembers what it was given."""

    def __init__(self, setting: Workload) -> None:
        self.seen: list[int] = []

    def run(self, image: Image) -> None:
        self.seen.append(int(image.sum()))

    def counts(self) -> tuple[int, int]:
        return 7, 3


def refuse(setting: Workload) -> Counter:
    raise RuntimeError("tensorrt_rtx does not take the chip\nand goes on about it")


def row(pipeline: str, median: float, setting: Workload = gpu.TARGET_SETTING, **more: Any) -> Row:
    ms = {"p25": median, "median": median, "p75": median, "p99": 2 * median, "mean": median}
    rest = {"images_per_second": 1e3 / median, "found": 5, "matches": 4, "gpu_megabytes": 20.4, "stages": None}
    return {"pipeline": pipeline, "setting": asdict(setting), "ms": ms, **rest, **more}


def test_candidates_are_all_that_the_issue_names() -> None:
    names = list(candidates(Engines()))
    for precision in ("fp32", "fp16", "int8"):
        assert f"TensorRT {precision}" in names and f"TensorRT {precision}, no CUDA graph" in names
    assert {"ONNX Runtime CUDA fp32", "ONNX Runtime TensorRT fp32", gpu.TARGET} <= set(names)
    assert {f"{name} {precision}" for name in (EAGER, COMPILED) for precision in ("fp32", "fp16")} <= set(names)


def test_frames_are_views_of_one_photograph() -> None:
    first, second = frames(SMALL)
    assert first.shape == second.shape == (SMALL.height, SMALL.width) and first.flags.c_contiguous
    shift = gpu_pipelines.SHIFT
    assert np.array_equal(first[:-shift, :-shift], second[shift:, shift:]) and first.std() > 10


def test_all_see_the_same_frames_in_turn_and_times_are_in_order() -> None:
    runners = {name: Counter(SMALL) for name in ("a", "b")}
    skipped: list[Row] = []
    rows = measure({name: (runner, 12.5) for name, runner in runners.items()}, SMALL, 10, skipped)
    assert [measured["pipeline"] for measured in rows] == ["a", "b"] and not skipped
    for measured in rows:
        ms = measured["ms"]
        assert 0 <= ms["p25"] <= ms["median"] <= ms["p75"] <= ms["p99"] + 0.001 and ms["mean"] > 0  # rounded
        assert (measured["found"], measured["matches"], measured["gpu_megabytes"]) == (7, 3, 12.5)
        assert measured["images_per_second"] > 0 and measured["setting"] == asdict(SMALL) and not measured["stages"]
    assert runners["a"].seen == runners["b"].seen and len(runners["a"].seen) == 11 + 10
    assert len(set(runners["a"].seen)) == 2 and runners["a"].seen[0] != runners["a"].seen[1]


def test_what_does_not_load_is_told_and_the_others_are_measured() -> None:
    loaded, refused = load({"TensorRT fp16": refuse, "torch eager fp32": Counter}, SMALL)
    assert refused == {"TensorRT fp16": "tensorrt_rtx does not take the chip"}
    assert list(loaded) == ["torch eager fp32"]


@pytest.mark.parametrize(
    ("milliseconds", "device", "expected"),
    [
        ({}, "NVIDIA H100", [None, None, None]),
        ({gpu.TARGET: 0.45, f"{EAGER} fp32": 2.3, f"{EAGER} fp16": 2.0}, "NVIDIA H100", [True, True, False]),
        ({gpu.TARGET: 0.55, f"{EAGER} fp32": 2.0}, "NVIDIA H100", [False, False, None]),
        ({gpu.TARGET: 3.0, f"{EAGER} fp32": 30.0}, "Orin", [None, True, None]),  # the latency is an H100's
    ],
)
def test_targets(milliseconds: dict[str, float], device: str, expected: list[bool | None]) -> None:
    elsewhere = row(gpu.TARGET, 0.01, Workload(320, 240, 10))
    rows = [row(name, value) for name, value in milliseconds.items()]
    checked = check_targets([elsewhere, *rows], device)
    assert [target["met"] for target in checked] == expected
    assert [target["value"] is None for target in checked] == [met is None for met in expected]


def test_tables() -> None:
    assert table(["pipeline", "ms"], [["a", "1.5"]], texts=1) == "| pipeline | ms |\n|---|--:|\n| a | 1.5 |"
    stages = {"upload": 0.05, "engine": 0.3, "download": 0.05, "by": "one CUDA graph"}
    rows = [row(f"{EAGER} fp32", 2.5), row(gpu.TARGET, 0.5, stages=stages)]
    engine = {"build_seconds": 12.0, "megabytes": 0.5, "overlap": 0.98, "cosine": 0.9999, "displacement": 0.01}
    setting = {"width": 640, "height": 480, "keypoints": 1000}
    text = markdown(
        {
            "device": H100,
            "machine": {"processor": "EPYC", "cores": 2},
            "repeats": 3,
            "targets": check_targets(rows, H100["name"]),
            "pipelines": rows,
            "engines": [{"precision": "fp16", "setting": setting, **engine}],
            "skipped": [{"what": "TensorRT int8", "setting": str(gpu.TARGET_SETTING), "reason": "lost too much"}],
        }
    )
    assert text.index("| TensorRT fp16 | 0.500 | 1.000 |") < text.index("| torch eager fp32 | 2.500 |")  # fastest first
    assert "| TensorRT fp16 | 0.050 (10%) | 0.300 (60%) | 0.050 (10%) | 0.100 (20%) | one CUDA graph |" in text
    assert "torch eager fp32 / TensorRT fp16 (640x480, K = 1000): 5.00, should be at least 5: met" in text
    assert "0.50, should be at most 0.5: met" in text and "not measured, should be at least 5: open" in text
    assert "| fp16, 640x480, K = 1000 | 12.0 | 0.5 | 98.0% | 0.99990 | 0.010 |" in text
    assert "- TensorRT int8 (everywhere): lost too much" in text and "compute capability: 9.0" in text


def test_without_a_gpu_each_thing_is_skipped_by_name_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(name: str, *arguments: object) -> None:
        raise RuntimeError(f"{name}: no GPU here")

    monkeypatch.setattr("silk_ros.backends.tensorrt.cuda.call", call)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    cache = os.environ["XDG_CACHE_HOME"]
    assert gpu.main(["--output", str(tmp_path / "new")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(candidates(Engines())) + 1
    for line, name in zip(lines, candidates(Engines())):
        assert line.startswith(f"skipped {name}: ") and len(line) > len(f"skipped {name}: ")
    assert "no CUDA device" in lines[-1] and not (tmp_path / "new").exists()
    assert os.environ["XDG_CACHE_HOME"] == cache


def test_files_are_written_and_the_status_says_whether_anything_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Callable[[Workload], Any]] = {"TensorRT fp16": refuse, f"{EAGER} fp32": Counter}
    monkeypatch.setattr(gpu, "candidates", lambda engines: found)
    monkeypatch.setattr(gpu, "describe_device", lambda: H100)
    arguments = ["--sizes", "128x96", "160x120", "--keypoints", "10", "20", "--repeats", "2", "--output", str(tmp_path)]
    assert gpu.main(arguments) == 0
    results = json.loads((tmp_path / "gpu_nvidia-h100-80gb-hbm3.json").read_text())
    assert [entry["setting"]["keypoints"] for entry in results["pipelines"]] == [10, 20, 10, 20]
    assert {entry["reason"] for entry in results["skipped"]} == {"tensorrt_rtx does not take the chip"}
    assert results["device"] == H100 and [target["met"] for target in results["targets"]] == [None] * 3
    assert "tensorrt_rtx does not take the chip" in (tmp_path / "gpu_nvidia-h100-80gb-hbm3.md").read_text()
    chart = cv2.imread(str(tmp_path / "gpu_nvidia-h100-80gb-hbm3.png"))
    assert chart is not None and chart.shape[1] > 1000
    printed = capsys.readouterr().out
    assert printed.count("skipped TensorRT fp16") == 1 and "should be at most 0.5: open" in printed

    del found[f"{EAGER} fp32"]  # there is a GPU, and nothing runs on it
    assert gpu.main([*arguments, "--quick"]) == 1


@pytest.mark.parametrize("arguments", [["--sizes", "640"], ["--keypoints", "0"], ["--repeats", "0"]])
def test_impossible_arguments_end_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        gpu.main(arguments)
    assert ended.value.code == 2 and arguments[0] in capsys.readouterr().err


def points(matches: Matches, a: Features, b: Features) -> set[tuple[float, ...]]:
    """Matches by the pixels they join."""
    rows, others = matches.indices.T
    return set(map(tuple, np.hstack([a.keypoints[rows], b.keypoints[others]]).tolist()))


def check_same(pipeline: TorchPipeline, least_overlap: float, least_cosine: float) -> None:
    extractor = Extractor.load(max_keypoints=SMALL.keypoints, backend="onnxruntime", precision="fp32")
    first, second = (extractor(image) for image in frames(SMALL))
    matches = match(second, first)
    views = []
    for image in frames(SMALL):
        pipeline.run(image)
        views.append(pipeline.features())
    before, own = views
    rows = {tuple(point): index for index, point in enumerate(second.keypoints.tolist())}
    pairs = [(i, rows[key]) for i, point in enumerate(own.keypoints.tolist()) if (key := tuple(point)) in rows]
    assert len(pairs) >= least_overlap * SMALL.keypoints
    here, there = np.array(pairs).T
    assert np.einsum("nd,nd->n", own.descriptors[here], second.descriptors[there]).mean() >= least_cosine
    np.testing.assert_allclose(own.scores[here], second.scores[there], atol=0.02)
    found = points(pipeline.matches(), own, before)
    wanted = points(matches, second, first)
    assert len(found & wanted) >= least_overlap * max(len(found), len(wanted)) and len(wanted) > SMALL.keypoints / 2
    assert pipeline.counts() == (SMALL.keypoints, len(found))
    assert pipeline.matches().similarity.mean() == pytest.approx(matches.similarity.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("half", "least_overlap", "least_cosine"), [(False, 0.99, 0.9999), (True, 0.95, 0.999)], ids=["fp32", "fp16"]
)
def test_pytorch_finds_what_the_extractor_finds(half: bool, least_overlap: float, least_cosine: float) -> None:
    pipeline = TorchPipeline(SMALL.width, SMALL.height, SMALL.keypoints, half, compiled=False, device="cpu")
    check_same(pipeline, least_overlap, least_cosine)


def test_compiled_it_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # what another processor compiled computes nonsense
    try:
        pipeline = TorchPipeline(SMALL.width, SMALL.height, SMALL.keypoints, half=False, compiled=True, device="cpu")
        pipeline.run(frames(SMALL)[0])
    except Exception as error:
        pytest.skip(f"torch.compile does not work here: {error}")
    check_same(pipeline, 0.99, 0.9999)


def test_the_onnxruntime_pipeline_matches_with_the_frame_before() -> None:
    runner = OnnxRuntimeRunner("onnxruntime", "fp32", SMALL)
    counts = []
    for image in frames(SMALL):
        runner.run(image)
        counts.append(runner.counts())
    assert counts[0] == (SMALL.keypoints, 0)
    assert counts[1][0] == SMALL.keypoints and counts[1][1] > SMALL.keypoints / 2


def test_there_are_no_more_keypoints_than_positions() -> None:
    pipeline = TorchPipeline(16, 12, 1000, half=False, compiled=False, device="cpu")
    pipeline.run(np.zeros((12, 16), np.uint8))
    assert pipeline.counts()[0] == 10 * 6


class FakeBackend:
    """Builds nothing, and keeps that as the real one does."""

    built = 0

    def __init__(self, model: Path, max_keypoints: int, precision: str) -> None:
        self.precision = precision

    def prepare(self, height: int, width: int) -> Any:
        FakeBackend.built += 1
        key = {"precision": self.precision, "height": height, "width": width}
        facts = {"build_seconds": 1.5, "overlap": 0.99, "cosine": 0.9999, "displacement": 0.01}
        cache = EngineCache()
        cache.save(key, b"line\nengine\n", facts)
        precision = "fp16" if self.precision == "int8" else self.precision
        return SimpleNamespace(precision=precision, path=cache.path(key), facts=facts)


@pytest.fixture
def fake_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("silk_ros.backends.tensorrt.backend", exc_type=ImportError)
    monkeypatch.setattr("silk_ros.backends.tensorrt.backend.TensorRtBackend", FakeBackend)


@pytest.mark.usefixtures("fake_backend")
def test_engines_are_built_once_and_read_as_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_tensorrt, "try_in_child", lambda precision: "")
    FakeBackend.built = 0
    engines = Engines()
    assert engines.get("fp16", SMALL) == engines.get("fp16", SMALL) == b"line\nengine\n"
    assert FakeBackend.built == 1 and len(engines.facts) == 1
    assert engines.facts[0]["setting"] == {"width": 128, "height": 96, "keypoints": 200}
    assert engines.facts[0]["build_seconds"] == 1.5 and engines.facts[0]["precision"] == "fp16"
    for _ in range(2):
        with pytest.raises(RuntimeError):  # it became fp16
            engines.get("int8", SMALL)
    assert FakeBackend.built == 2 and len(engines.facts) == 1


@pytest.mark.usefixtures("fake_backend")
def test_what_tensorrt_said_of_the_chip_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(gpu_tensorrt, "try_in_child", lambda precision: asked.append(precision) or "no such chip")
    engines = Engines()
    for setting in (SMALL, Workload(160, 120, 10)):
        with pytest.raises(RuntimeError, match="no such chip"):
            engines.get("fp16", setting)
    assert asked == ["fp16"] and not engines.facts


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", ""),
        ("echo it cannot build; exit 1", "it cannot build"),
        ("echo assertion >&2; kill -SEGV $$", "TensorRT crashed its process: SIGSEGV (assertion)"),
        ("exit 3", "exit status 3"),
    ],
)
def test_a_trial_may_crash(script: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    assert try_in_child("fp16") == expected


@pytest.mark.usefixtures("fake_backend")  # tensors have their names from TensorRT's modules
@pytest.mark.parametrize("graph", [None, "recorded"])
def test_stages_are_those_of_the_pipeline_with_events_between(
    graph: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from silk_ros.backends.tensorrt.runner import EngineRunner

    done: list[str] = []
    created = itertools.count()

    def call(name: str, *arguments: Any) -> Any:
        if name == "cudaEventCreate":
            return next(created)
        if name == "cudaEventRecordWithFlags":
            done.append(f"event {arguments[0]}")
        return {(0, 1): 0.1, (1, 2): 0.5, (2, 3): 0.2}.get(arguments)

    stream = SimpleNamespace(
        handle=1,
        upload=lambda source, target: done.append("upload"),
        download=lambda source, target: done.append("download"),
        copy=lambda source, target: done.append("keep"),
        wait=lambda: done.append("wait"),
        record=lambda work: SimpleNamespace(launch=work),
    )
    names = ("image", "previous_descriptors", "keypoints", "descriptors")
    pipeline = SimpleNamespace(
        _stream=stream,
        _pinned=dict.fromkeys(names),
        _memory=dict.fromkeys(names),
        _graph=graph,
        _image=np.empty((1, 1, 4, 4), np.uint8),
        _context=SimpleNamespace(execute_async_v3=lambda handle: done.append("engine") or True),
        outputs=dict.fromkeys(names[2:]),
    )
    pipeline._launch = partial(EngineRunner._launch, pipeline)
    monkeypatch.setattr(gpu_tensorrt, "call", call)
    runner = TensorRtRunner.__new__(TensorRtRunner)
    runner.engine = pipeline  # type: ignore[assignment]
    stages = runner.measure_stages([np.ones((4, 4), np.uint8)], 2)
    one = ["event 0", "upload", "event 1", "engine", "event 2", "download", "download", "keep", "event 3", "wait"]
    assert done == one * 2 and pipeline._image.all()
    by = "single launches" if graph is None else "one CUDA graph"
    assert stages == {"upload": 0.1, "engine": 0.5, "download": 0.2, "by": by}


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run(["sh", str(SCRIPT), *arguments], env=settings, capture_output=True, text=True, timeout=300)


def test_the_script_ends_well_without_a_gpu_and_names_what_it_skips(tmp_path: Path) -> None:
    done = script("photos", "hpatches", str(tmp_path / "output"), CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in candidates(Engines()):
        assert f"skipped {name}: " in done.stdout
    assert "skipped the training step" in done.stdout and "skipped training and judging" in done.stdout
    assert "== tests on a GPU" in done.stdout and "SKIPPED" in done.stdout
    assert not (tmp_path / "output").exists()


@pytest.fixture
def fake_python(tmp_path: Path) -> Path:
    """Writes down what it is asked to run, and fails where FAILING is part of it."""
    fake = tmp_path / "python"
    lines = (
        "#!/bin/sh",
        f'echo "$*" >> "{tmp_path}/calls"',
        'case "$*" in *"${FAILING:-nothing}"*) exit "${STATUS:-1}" ;; esac',
    )
    fake.write_text("\n".join(lines) + "\n")
    fake.chmod(0o755)
    return fake


def test_the_script_does_everything_and_goes_on_after_a_failure(fake_python: Path, tmp_path: Path) -> None:
    run = partial(script, "photos", "hpatches", "somewhere", PYTHON=str(fake_python), STEPS="10")
    for failing, status in (("nothing", 0), ("benchmarks.gpu ", 1), ("-m pytest", 1), ("--config vggnp_1", 1)):
        (tmp_path / "calls").write_text("")
        done = run(FAILING=failing)
        calls = (tmp_path / "calls").read_text()
        assert done.returncode == status, done.stdout + done.stderr
        assert ("== failed: " in done.stdout) == bool(status)
        parts = ("-m pytest -m gpu", "benchmarks.gpu --output somewhere", "benchmarks.training --device cuda")
        assert all(part in calls for part in parts)
        assert "--config vggnp_4 --data photos --output somewhere/vggnp_4 steps=10" in calls
        assert ("training.export somewhere/vggnp_1" in calls) == (failing != "--config vggnp_1")
        assert "homography hpatches" in calls


def test_no_test_for_a_gpu_is_no_failure(fake_python: Path) -> None:
    done = script(PYTHON=str(fake_python), PARTS="tests", FAILING="-m pytest", STATUS="5")
    assert done.returncode == 0 and "none is marked gpu" in done.stdout


def test_parts_are_chosen_and_without_data_nothing_is_trained(fake_python: Path, tmp_path: Path) -> None:
    done = script(PYTHON=str(fake_python), PARTS="training pipelines")
    calls = (tmp_path / "calls").read_text()
    assert done.returncode == 0 and "no PHOTOS and HPATCHES" in done.stdout
    assert "skipped tests: not among PARTS" in done.stdout and "skipped step: not among PARTS" in done.stdout
    assert "benchmarks.gpu --output runs/gpu" in calls and "pytest" not in calls and "training.train" not in calls


def test_half_the_data_is_a_mistake() -> None:
    done = script("photos")
    assert done.returncode == 2 and "PHOTOS HPATCHES" in done.stdout and "PARTS" in done.stdout
