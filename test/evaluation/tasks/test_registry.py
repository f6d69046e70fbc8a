from pathlib import Path

import numpy as np
import pytest

from silk_ros.evaluation.methods.base import Method
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.results import Curve, Failure, Picture, TaskResult
from silk_ros.evaluation.tasks.registry import TASKS, Task, merged, run_task


class Named:
    """A method that only has a name."""

    def __init__(self, name: str) -> None:
        self.name = name


def result(name: str) -> TaskResult:
    pictures = [Picture(f"{name} {what}", np.zeros((2, 2, 3), np.uint8)) for what in ("first", "second")]
    return TaskResult(
        "odometry",
        {name: {"ATE [m]": 1.0}},
        groups={"turn": {name: {"ATE [m]": 2.0}}},
        settings={"frames": 3},
        details={"trajectories": {name: [[0.0]]}, "ground_truth": [[1.0]]},
        curves=[Curve("Error", "distance [m]", "error [m]", {name: ([1.0], [2.0])})],
        pictures=pictures,
    )


def run(method: Method, folder: Path, options: Options) -> TaskResult:
    if folder.name == "broken":
        raise DatasetError("'calib.txt' is missing")
    if method.name == "ORB":
        raise RuntimeError("lost")
    if method.name == "AKAZE":
        raise ValueError("AKAZE has no matching probability")
    return result(method.name)


TASK = Task(run, ("calib.txt",), "calib.txt")


def test_a_method_that_fails_does_not_lose_the_others() -> None:
    failures: list[Failure] = []
    methods = [Named(name) for name in ("SiLK", "ORB", "AKAZE", "SIFT")]
    found = run_task("odometry", TASK, methods, Path("kitti"), Options(), failures)  # type: ignore[arg-type]
    assert found is not None and list(found.overall) == ["SiLK", "SIFT"]
    assert list(map(str, failures)) == [
        "odometry ORB on kitti: RuntimeError: lost",
        "odometry AKAZE on kitti: AKAZE has no matching probability",
    ]


def test_a_broken_data_set_is_named_once() -> None:
    failures: list[Failure] = []
    methods = [Named("SiLK"), Named("SIFT")]
    assert run_task("odometry", TASK, methods, Path("broken"), Options(), failures) is None  # type: ignore[arg-type]
    assert failures == [Failure("odometry", "broken", "", "'calib.txt' is missing")]


def test_outcomes_of_methods_become_one() -> None:
    whole = merged([result("SiLK"), result("SIFT")])
    assert whole.overall == {"SiLK": {"ATE [m]": 1.0}, "SIFT": {"ATE [m]": 1.0}}
    assert whole.groups == {"turn": {"SiLK": {"ATE [m]": 2.0}, "SIFT": {"ATE [m]": 2.0}}}
    assert whole.settings == {"frames": 3}
    assert whole.details == {"trajectories": {"SiLK": [[0.0]], "SIFT": [[0.0]]}, "ground_truth": [[1.0]]}
    assert [dict(curve.lines) for curve in whole.curves] == [{"SiLK": ([1.0], [2.0]), "SIFT": ([1.0], [2.0])}]
    assert [picture.caption for picture in whole.pictures] == ["SiLK first", "SIFT first", "SiLK second", "SIFT second"]


@pytest.mark.parametrize(
    ("files", "tasks"),
    [
        (["boat/1.png", "boat/H_1_2"], {"homography", "rotation", "scale"}),
        (["image_0/0.png", "calib.txt"], {"relative-pose"}),
        (["image_0/0.png", "image_1/0.png"], {"relative-pose", "odometry"}),
        (["frame-000000.color.png", "frame-000000.depth.png"], {"relative-pose", "registration", "odometry"}),
        (["notes.txt"], set()),
    ],
)
def test_a_folder_says_by_its_files_which_tasks_fit(files: list[str], tasks: set[str], tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert {name for name, task in TASKS.items() if task.fits(tmp_path)} == tasks


def test_tasks_on_sequences_can_skip_some() -> None:
    assert {name for name, task in TASKS.items() if task.skips} == {"homography", "rotation", "scale"}
