from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.methods.base import Keypoints, Method
from silk_ros.evaluation.methods.load import OnnxMethod
from silk_ros.evaluation.methods.opencv import OpenCVMethod
from silk_ros.evaluation.options import Options
from silk_ros.evaluation.report.tables import console_table
from silk_ros.evaluation.results import Failure, TaskResult
from silk_ros.evaluation.tasks.registry import Task
from silk_ros.evaluation.tasks.sweeps import Point, Sweep, run_sweep

IMAGE = np.zeros((8, 8), np.uint8)
extractions: list[tuple[str, int, float]] = []


class Network(OnnxMethod):
    """Finds as many keypoints as it may."""

    def __init__(self, max_keypoints: int, scale: float) -> None:
        self.name, self._setting = "SiLK", (max_keypoints, scale)

    def extract(self, image: np.ndarray) -> Keypoints:
        extractions.append((self.name, *self._setting))
        count = self._setting[0]
        return Keypoints(
            np.zeros((count, 2), np.float32), np.zeros(count, np.float32), np.zeros((count, 1), np.float32)
        )

    def match(self, *_: Any, **__: Any) -> np.ndarray:
        return np.empty((0, 2), np.int32)


class Classic(OpenCVMethod):
    def __init__(self, max_keypoints: int, scale: float) -> None:
        super().__init__("ORB", cv2.ORB.create(), max_keypoints)


def run(method: Method, folder: Path, options: Options) -> TaskResult:
    if method.name == "SiLK" and options.top_k == 13:
        raise RuntimeError("bad luck")
    found = len(method.extract(IMAGE).best(options.top_k))
    row = {"MMA@1": found / 100, "drift [%]": options.ratio or 0.0, "keypoints": float(found)}
    settings = {"shorter_edge": options.shorter_edge, "pairs": 3, "top_k": options.top_k}
    return TaskResult("homography", {method.name: row}, settings=settings)


def sweep(
    over: dict[str, list[float]], *loaders: Any, failures: list[Failure] | None = None, options: Options | None = None
) -> Sweep:
    extractions.clear()
    found = run_sweep(
        "relative-pose",
        Task(run, (), ""),
        loaders or (Network, Classic),
        Path("data/boats"),
        options or Options(),
        0.7,
        over,
        [] if failures is None else failures,
    )
    assert found is not None
    return found


def test_a_row_for_each_method_and_value_in_the_order_given() -> None:
    found = sweep({"top-k": [10, 40, 20]})
    assert console_table(found.grids()[0][1]).splitlines() == [
        "method    top-k      MMA    drift    keypoints",
        "                      @1      [%]",
        "SiLK      10       0.100        0           10",
        "          40       0.400        0           40",
        "          20       0.200        0           20",
        "ORB       10       0.000        0            0",
        "          40       0.000        0            0",
        "          20       0.000        0            0",
    ]


def test_an_image_is_extracted_once_for_all_top_k_and_ratios() -> None:
    sweep({"top-k": [10, 20], "ratio": [1.0, 0.8]}, Network)
    assert extractions == [("SiLK", 20, 0.7)]


def test_the_input_scale_is_of_networks_only() -> None:
    found = sweep({"top-k": [10, 20], "scale": [1.0, 0.5]})
    assert [(p.method, *p.values.values()) for p in found.points] == [
        ("SiLK", 1.0, 10), ("SiLK", 0.5, 10), ("SiLK", 1.0, 20), ("SiLK", 0.5, 20), ("ORB", 10), ("ORB", 20)
    ]  # fmt: skip
    assert extractions == [("SiLK", 20, 1.0), ("SiLK", 20, 0.5)]
    lines = found.curves[0].lines
    assert lines["SiLK · top-k 10"] == ([1.0, 0.5], [0.1, 0.1])
    assert lines["ORB · top-k 20"] == ([0.5, 1.0], [0.0, 0.0]), "a level line"
    sweep({"scale": [1.0, 0.5]}, Classic)


def test_curves_are_of_what_can_be_better_over_the_last_setting() -> None:
    found = sweep({"ratio": [1.0, 0.8]}, Network)
    assert [(curve.title, dict(curve.lines)) for curve in found.curves] == [
        ("MMA@1", {"SiLK": ([1.0, 0.8], [100.0, 100.0])}),
        ("drift [%]", {"SiLK": ([1.0, 0.8], [1.0, 0.8])}),
    ]


def test_opencv_has_no_matching_probability_and_is_left_out() -> None:
    failures: list[Failure] = []
    found = sweep({"double-softmax": [1.0, 0.9]}, failures=failures)
    assert {point.method for point in found.points} == {"SiLK"} and not failures


def test_methods_that_are_no_networks_are_loaded_anew_for_each_top_k() -> None:
    loaded: list[int] = []

    def load(max_keypoints: int, scale: float) -> Method:
        loaded.append(max_keypoints)
        return Classic(max_keypoints, scale)

    sweep({"top-k": [10, 20], "ratio": [1.0, 0.8], "scale": [1.0, 0.5]}, load)
    assert loaded[1:] == [10, 20]  # the first is to see what it is


def test_a_value_that_fails_loses_neither_other_values_nor_other_methods() -> None:
    failures: list[Failure] = []
    found = sweep({"top-k": [13, 10]}, failures=failures)
    assert [(point.method, point.values["top-k"]) for point in found.points] == [("SiLK", 10), ("ORB", 13), ("ORB", 10)]
    assert [(failure.method, failure.message) for failure in failures] == [("SiLK", "RuntimeError: bad luck")]


def test_settings_are_those_that_were_not_swept(tmp_path: Path) -> None:
    found = sweep({"top-k": [10, 20]}, options=Options(shorter_edge=480))
    assert found.settings == {
        "input_scale": 0.7,
        "shorter_edge": 480,
        "ratio": None,
        "double_softmax": None,
        "runs": 5,
        "disparity_offset": None,
        "pairs": 3,
    }
    assert found.title == "relative pose on boats over top-k"


def test_json_has_every_point() -> None:
    written = sweep({"top-k": [10]}, partial(Network)).outcome().json
    assert {"task", "data", "settings", "over", "points", "curves"} == set(written)
    assert written["task"] == "relative_pose"
    assert written["over"] == {"top-k": [10]}
    assert written["points"] == [Point("SiLK", {"top-k": 10}, {"MMA@1": 0.1, "drift [%]": 0.0, "keypoints": 10.0})]


@pytest.mark.parametrize("axis", ["top-k", "image-size"])
def test_no_result_at_all_is_none(axis: str) -> None:
    failing = Task(lambda *_: 1 / 0, (), "")  # type: ignore[arg-type, return-value]
    failures: list[Failure] = []
    assert run_sweep("odometry", failing, [Network], Path("x"), Options(), 1.0, {axis: [1, 2]}, failures) is None
    assert failures
