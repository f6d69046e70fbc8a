"""Which settings the command chooses; what takes how long is given, so that no verdict depends on the machine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from silk_ros import Extractor
from silk_ros.commands import benchmark as command
from silk_ros.evaluation.speed import rate
from silk_ros.evaluation.speed.quality import table
from silk_ros.evaluation.speed.rate import CameraLoad, Candidate, candidates, find
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE

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
        monkeypatch.setattr(rate, "precisions", lambda: FP32)
        monkeypatch.setattr(rate.processor, "cores", lambda: 4)
        return measured

    return set_speed


def test_the_table_holds_all_combinations_and_more_work_is_never_worse() -> None:
    found = table()
    edges, counts, kinds = (
        sorted({getattr(each, name) for each in found}) for name in ("edge", "keypoints", "precision")
    )
    assert kinds == ["fp32", "int8"] and len(found) == 2 * len(edges) * len(counts)
    assert {240, 120} <= set(edges) and {CAMERA_MAX_KEYPOINTS, 500} <= set(counts)
    assert all(0 < quality < 1 for quality in found.values())
    for one, other in itertools.product(found, found):
        if one.precision == other.precision and one.edge >= other.edge and one.keypoints >= other.keypoints:
            assert found[one] >= found[other]
    assert all(found[each] <= found[replace(each, precision="fp32")] for each in found)
    assert max(found.values()) > 1.1 * min(found.values())


def test_the_defaults_come_first_and_then_the_best() -> None:
    found = candidates(CameraLoad(30, 640, 480), FP32)
    assert [(each.scale, each.max_keypoints, each.radius) for each in found[:2]] == [
        (CAMERA_SCALE, CAMERA_MAX_KEYPOINTS, 1 / 16),
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
    assert {each.scale for each in candidates(CameraLoad(30, *size), FP32)} == scales


def test_a_fast_machine_gets_the_defaults(machine: Callable[[float], list[Candidate]]) -> None:
    machine(10)
    best = find(CameraLoad(30, 640, 480)).best
    assert best is not None
    found = best.candidate
    assert (found.scale, found.max_keypoints, found.radius, found.precision) == (0.5, 5000, 1 / 16, "auto")


@pytest.mark.parametrize("known", [{"auto": "fp32"}, {"auto": "int8"}, {"auto": "bf16", "int8": "int8"}])
def test_a_slower_one_gets_the_best_that_holds_the_rate_with_a_reserve(
    machine: Callable[[float], list[Candidate]], monkeypatch: pytest.MonkeyPatch, known: dict[str, str]
) -> None:
    machine(1)
    monkeypatch.setattr(rate, "precisions", lambda: known)
    camera = CameraLoad(20, 640, 480)
    search = find(camera)
    assert search.best is not None and search.complete
    assert search.best.ms <= camera.budget_ms == pytest.approx(0.7 * 50 - 2)
    held = [each for each in candidates(camera, known) if work(each) <= camera.budget_ms]
    assert search.best.candidate.auc == max(each.auc for each in held)
    assert all(each.ms > camera.budget_ms for each in search.timed[:-1]), "it stops at the first that holds"
    assert search.timed[0].candidate.auc == search.defaults


def test_what_cannot_be_is_told_when_the_cheapest_has_failed_twice(
    machine: Callable[[float], list[Candidate]],
) -> None:
    measured = machine(0.01)
    search = find(CameraLoad(60, 640, 480))
    assert search.best is None and len(measured) == 2 and len(search.timed) == 1
    assert search.timed[0].hertz < 60


def test_a_moment_of_other_load_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cheapest settings are the only ones that hold the rate, and fail the first time."""
    camera = CameraLoad(30, 640, 480)
    cheapest = min(candidates(camera, FP32), key=work)
    tried: list[Candidate] = []

    def measure(candidate: Candidate, *_: object) -> float:
        tried.append(candidate)
        return 1.0 if candidate == cheapest and len(tried) > 1 else 1000.0

    monkeypatch.setattr(rate, "measure", measure)
    monkeypatch.setattr(rate, "precisions", lambda: FP32)
    search = find(camera)
    assert search.best is not None and search.best.candidate == cheapest and search.timed[-1] == search.best


def test_when_time_is_up_the_cheapest_is_taken_and_it_is_said(
    machine: Callable[[float], list[Candidate]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(1)
    monkeypatch.setattr(rate, "TIME_LIMIT", -1.0)
    search = find(CameraLoad(20, 640, 480))
    assert search.best is not None and not search.complete and len(search.timed) == 1
    assert command.main(["--rate", "20", "--output", str(tmp_path)]) == 0
    assert "not all settings were tried: the cheapest one is taken" in capsys.readouterr().out


def test_what_does_more_work_than_what_failed_is_left_out(machine: Callable[[float], list[Candidate]]) -> None:
    machine(1)
    tried = [each.candidate for each in find(CameraLoad(40, 640, 480)).timed]
    assert len(tried) > 2
    for index, candidate in enumerate(tried):
        assert not any(candidate.no_faster_than(other) for other in tried[:index])


def test_the_command_writes_parameters_that_the_node_declares(
    machine: Callable[[float], list[Candidate]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(1)
    status = command.main(["--rate", "20", "--size", "640x480", "--stereo", "--output", str(tmp_path / "new")])
    output = capsys.readouterr().out
    assert status == 0 and "silk_node --ros-args --params-file /" in output and "AUC@10" in output
    (path,) = (tmp_path / "new").glob("*.yaml")
    assert path.name == "silk_20hz.yaml" and str(path) in output
    values = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    declared = yaml.safe_load((Path(__file__).parents[3] / "config" / "silk.yaml").read_text())
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
    assert "no setting holds 60 Hz on this machine; the cheapest one holds" in output and not list(tmp_path.iterdir())
    found = re.search(r"benchmark --rate (\d+) --size 640x480 finds", output)
    assert found and find(CameraLoad(float(found[1]), 640, 480)).best is not None, "what it advises can be had"


def test_a_long_search_shows_the_defaults_and_the_end(
    machine: Callable[[float], list[Candidate]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(1)
    monotone = find(CameraLoad(40, 640, 480))
    assert command.main(["--rate", "40", "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(index for index, line in enumerate(lines) if "of the defaults" in line)
    assert lines[start + 1].split()[:2] == ["0.5", "5000"] and lines[start + 1].endswith("100%")
    shown = lines[start + 1 : lines.index("", start)]
    assert len(shown) <= 13 and ("..." in shown[1]) == (len(monotone.timed) > 12)


def test_a_rate_that_leaves_no_time_is_refused_with_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--rate", "5000"]) == 1
    assert "5000 Hz leave no time for an image: 350 Hz are the limit of any machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "30", "--threads", "77", "--quick"], "--threads, --quick do not go with --rate"),
        (["--size", "320x240", "--stereo"], "--size, --stereo go only with --rate"),
    ],
)
def test_options_of_the_other_use_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert message in capsys.readouterr().err


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
    camera = CameraLoad(1e-3, 96, 64, stereo)
    images = list(rate._views(camera))
    assert rate.measure(Candidate(0.5, 50, "fp32", 0.0, 0.5), camera, images) > 0
    assert set(calls) == {(64, 96)} and len(calls) >= (2 if stereo else 1) * (rate.WARM_UP + rate.FEWEST)
