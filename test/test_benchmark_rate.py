"""Which settings the command chooses; what takes how long is given, so that no verdict depends on the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from silk_ros import Extractor
from silk_ros.benchmark import command, rate
from silk_ros.benchmark.quality import table
from silk_ros.benchmark.rate import Camera, Candidate, candidates, find
from silk_ros.frontend import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE

FP32 = {"auto": "fp32"}


def work(candidate: Candidate) -> float:
    """Milliseconds on a machine whose time goes into pixels and keypoints; int8 halves the former."""
    network = 200 * candidate.scale**2 / (2 if candidate.precision == "int8" else 1)
    return network + candidate.max_keypoints / 250 + (3 if candidate.radius else 0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[Candidate]]:
    """A function that sets how fast this machine is, and returns a list of what is measured."""

    def set_speed(factor: float) -> list[Candidate]:
        measured: list[Candidate] = []

        def measure(candidate: Candidate, *_: object) -> float:
            measured.append(candidate)
            return work(candidate) / factor

        monkeypatch.setattr(rate, "measure", measure)
        monkeypatch.setattr(rate.processor, "cores", lambda: 4)
        return measured

    return set_speed


def test_the_table_holds_all_combinations_and_more_work_is_worth_it() -> None:
    found = table()
    edges, counts = ({getattr(setting, name) for setting in found} for name in ("edge", "keypoints"))
    assert len(found) == 2 * len(edges) * len(counts)
    assert {240, 120} <= edges and {CAMERA_MAX_KEYPOINTS, 500} <= counts
    for precision in ("fp32", "int8"):
        best, least = (
            found[type(next(iter(found)))(edge, precision, keypoints)] for edge, keypoints in ((240, 5000), (120, 500))
        )
        assert 0 < least < best < 1


def test_the_defaults_come_first_and_then_the_best() -> None:
    found = candidates(Camera(30, 640, 480), FP32)
    assert [(each.scale, each.max_keypoints, each.radius) for each in found[:2]] == [
        (CAMERA_SCALE, CAMERA_MAX_KEYPOINTS, 40.0),
        (CAMERA_SCALE, CAMERA_MAX_KEYPOINTS, 0.0),
    ]
    qualities = [each.auc for each in found[2:]]
    assert qualities == sorted(qualities, reverse=True)
    assert {each.scale for each in found} == {0.5, 0.4, 0.3, 0.25}


@pytest.mark.parametrize(
    ("size", "scales"),
    [((1280, 720), {0.5, 0.3333, 0.2667, 0.2, 0.1667}), ((320, 240), {0.5}), ((480, 640), {0.5, 0.4, 0.3, 0.25})],
)
def test_scales_fit_the_image(size: tuple[int, int], scales: set[float]) -> None:
    assert {each.scale for each in candidates(Camera(30, *size), FP32)} == scales


def test_a_fast_machine_gets_the_defaults(machine: Callable[[float], list[Candidate]]) -> None:
    machine(10)
    found, _ = find(Camera(30, 640, 480))
    assert found is not None
    best = found.candidate
    assert (best.scale, best.max_keypoints, best.radius, best.precision) == (0.5, 5000, 40.0, "auto")


def test_a_slower_one_gets_the_best_that_holds_the_rate_with_a_reserve(
    machine: Callable[[float], list[Candidate]],
) -> None:
    machine(1)
    camera = Camera(20, 640, 480)
    found, timed = find(camera)
    assert found is not None and found.ms <= camera.budget_ms == pytest.approx(0.7 * 50 - 2)
    held = [each for each in candidates(camera, FP32) if work(each) <= camera.budget_ms]
    assert found.candidate.auc >= max(each.auc for each in held if each.precision == "auto") - 1e-9
    assert all(each.ms > camera.budget_ms for each in timed[1:-1]), "it stops at the first that holds"


def test_what_cannot_be_is_told_by_one_measurement(machine: Callable[[float], list[Candidate]]) -> None:
    measured = machine(0.01)
    found, timed = find(Camera(60, 640, 480))
    assert found is None and len(measured) == len(timed) == 1
    assert timed[0].hertz < 60


def test_what_does_more_work_than_what_failed_is_left_out(machine: Callable[[float], list[Candidate]]) -> None:
    measured = machine(1)
    find(Camera(45, 640, 480))
    tried = measured[1:-3]  # between the cheapest, and other numbers of threads
    failed = [each for each in tried if work(each) > Camera(45, 640, 480).budget_ms]
    for index, candidate in enumerate(failed):
        assert not any(candidate.no_faster_than(other) for other in failed[:index])


def test_the_command_writes_parameters_that_the_node_declares(
    machine: Callable[[float], list[Candidate]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(1)
    status = command.main(["--rate", "20", "--size", "640x480", "--stereo", "--output", str(tmp_path / "new")])
    output = capsys.readouterr().out
    assert status == 0 and "params_file:=" in output and "AUC@10" in output
    (path,) = (tmp_path / "new").glob("*.yaml")
    assert path.name == "silk_20hz.yaml" and str(path) in output
    values = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    declared = yaml.safe_load((Path(__file__).parents[1] / "config" / "silk.yaml").read_text())
    (known,) = (each["ros__parameters"] for each in declared.values())
    flat = {**known, **{f"{group}.{name}": 0 for group, of in known.items() if isinstance(of, dict) for name in of}}
    assert values.keys() <= flat.keys() and values["stereo.sync"] == "exact"
    assert isinstance(values["scale"], float) and isinstance(values["matcher.radius"], float)


def test_the_command_says_what_can_be_had_where_nothing_holds(
    machine: Callable[[float], list[Candidate]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(0.1)
    assert command.main(["--rate", "60", "--output", str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert "no setting holds 60 Hz on this machine; the fastest one holds" in output
    assert "benchmark --rate" in output and not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", ["0", "-1", "fast", "nan", "inf"])
def test_a_rate_that_cannot_be_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--rate", given])
    assert "is not a rate above 0 in Hz, such as 30" in capsys.readouterr().err


@pytest.mark.parametrize("stereo", [False, True])
def test_a_setting_is_timed_on_the_front_end(monkeypatch: pytest.MonkeyPatch, stereo: bool) -> None:
    calls = []
    extract = Extractor.__call__
    monkeypatch.setattr(Extractor, "__call__", lambda self, image: [calls.append(image.shape), extract(self, image)][1])
    monkeypatch.setattr(rate, "SECONDS", 0.01)
    camera = Camera(1e-3, 96, 64, stereo)
    images = list(rate._views(camera))
    assert rate.measure(Candidate(0.5, 50, "fp32", 0.0, 0.5), camera, images) > 0
    assert set(calls) == {(64, 96)} and len(calls) >= (2 if stereo else 1) * (rate.WARM_UP + rate.FEWEST)
