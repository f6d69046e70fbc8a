import json
import logging
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from silk_ros.commands.evaluate import main, parse
from silk_ros.evaluation.options import Options
from silk_ros.evaluation.results import TaskResult
from silk_ros.evaluation.tasks.homography import evaluate_homography
from silk_ros.evaluation.tasks.registry import TASKS

SHIFT = 8


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """`main` sets up logging; leave none of it behind."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two data sets: a homography that is a shift, and a broken KITTI sequence."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (160, 200)).astype(np.uint8), (0, 0), 2)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    folder = tmp_path / "data" / "hpatches" / "v_shift"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.png"), image[:, :-SHIFT])
    cv2.imwrite(str(folder / "2.png"), image[:, SHIFT:])
    np.savetxt(folder / "H_1_2", [[1, 0, -SHIFT], [0, 1, 0], [0, 0, 1]])
    (tmp_path / "data" / "kitti" / "image_0").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "data" / "kitti" / "image_0" / "000000.png"), image)
    return tmp_path / "data"


def test_help_tells_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse(["homography", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for default in ("silk sift orb", f"image ({Options.top_k})", "write (report)", "480 for homography"):
        assert default in shown, default
    with pytest.raises(SystemExit, match="0"):
        parse(["--help"])
    shown = capsys.readouterr().out
    assert all(f"evaluate {name} " in shown for name in [*TASKS, "all", "sweep"])


def test_defaults_are_those_of_options() -> None:
    given = parse(["homography", "data"])
    assert all(getattr(given, field.name) == field.default for field in fields(Options))


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        (["--over", "top-k", "100", "200"], {"top-k": [100, 200]}),
        (["--over", "scale", "--over", "ratio", "0.9"], {"scale": [1.0, 0.7, 0.5], "ratio": [0.9]}),
    ],
)
def test_what_is_swept(over: list[str], expected: dict[str, list[float]]) -> None:
    assert parse(["sweep", "homography", "data", *over]).over == expected


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (["--over", "colour", "1"], "choose from top-k"),
        (["--over", "top-k", "many"], "many"),
        (["--over", "ratio", "--over", "double-softmax"], "alternatives"),
    ],
)
def test_a_wrong_sweep_says_what_is_right(over: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["sweep", "homography", "data", *over])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("methods", "message"),
    [(["sitf"], "unknown method 'sitf'"), (["missing.onnx"], "missing.onnx"), (["sift", "sift"], "one name")],
)
def test_a_wrong_method_is_told_before_anything_runs(
    methods: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["homography", str(tmp_path), "--methods", *methods]) == 2
    assert message in capsys.readouterr().err


def test_all_tasks_that_fit_go_into_one_report_and_what_fails_is_listed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in ("rotation", "scale"):
        monkeypatch.delitem(TASKS, task)  # many plots take long
    output = tmp_path / "out" / "report"
    arguments = ["--methods", "orb", "--top-k", "100", "--pictures", "1", "--output", str(output)]
    assert main(["all", str(data), *arguments]) == 1
    written = json.loads((output / "results.json").read_text())
    assert [result["task"] for result in written["results"]] == ["homography"]
    assert written["results"][0]["overall"]["ORB"]["MMA@3"] > 0.9
    assert written["results"][0]["settings"]["top_k"] == 100
    (failure,) = written["failures"]
    assert failure["task"] == "relative_pose" and "poses.txt" in failure["message"]
    page = (output / "report.html").read_text()
    assert "poses.txt" in page and page.count("data:image/webp") >= 1
    assert (output / "plots" / "homography-on-hpatches-mma-over-threshold.png").is_file()
    shown = capsys.readouterr()
    assert "homography on hpatches\nmethod" in shown.out and "poses.txt" in shown.err
    assert "within N px of their true position" in shown.out and "within N px of their true position" in page
    assert shown.out.splitlines()[-1].startswith(f"next: open {output / 'report.html'}")


def test_a_sweep_prints_its_table_and_draws_its_curves(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_metrics(*given: Any, **skip: Any) -> TaskResult:  # many plots take long
        result = evaluate_homography(*given, **skip)
        result.overall = {
            name: {key: row[key] for key in ("MMA@3", "keypoints")} for name, row in result.overall.items()
        }
        return result

    monkeypatch.setitem(TASKS, "homography", replace(TASKS["homography"], run=two_metrics))
    output = tmp_path / "report"
    arguments = ["--over", "top-k", "20", "100", "--methods", "orb", "--output", str(output)]
    assert main(["sweep", "homography", str(data / "hpatches"), *arguments]) == 0
    (result,) = json.loads((output / "results.json").read_text())["results"]
    few, many = (point["metrics"]["keypoints"] for point in result["points"])
    assert 0 < few <= 20 < many  # ORB asked for 20 finds fewer
    assert (output / "plots" / "homography-on-hpatches-over-top-k-mma-3.png").is_file()
    assert ["ORB", "20"] in [line.split()[:2] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("command", ["homography", "odometry", "all"])
def test_missing_data_is_an_error_and_writes_no_report(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report"
    assert main([command, str(tmp_path / "nothing"), "--methods", "orb", "--output", str(output)]) == 1
    shown = capsys.readouterr().err
    assert "nothing" in shown and ("expected" in shown or "should hold" in shown)
    assert not output.exists()


def test_an_interrupted_run_keeps_what_it_has(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> TaskResult:
        raise KeyboardInterrupt

    for task in ("relative-pose", "scale"):
        monkeypatch.delitem(TASKS, task)
    monkeypatch.setitem(TASKS, "rotation", replace(TASKS["rotation"], run=interrupted))
    output = tmp_path / "report"
    assert main(["all", str(data), "--methods", "orb", "--top-k", "100", "--output", str(output)]) == 1
    written = json.loads((output / "results.json").read_text())
    assert [result["task"] for result in written["results"]] == ["homography"]
    assert [failure["task"] for failure in written["failures"]] == ["rotation"]


def test_an_impossible_scale_is_told(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--over", "scale", "0", "--methods", "silk", "--output", str(tmp_path / "report")]
    assert main(["sweep", "homography", str(data / "hpatches"), *arguments]) == 1
    assert "scale must be above 0" in capsys.readouterr().err
