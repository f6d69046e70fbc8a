import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

import silk_ros
from silk_ros.evaluation.report.report import GROUND_TRUTH, Report, slug, task_outcome
from silk_ros.evaluation.results import Curve, Failure, Picture, TaskResult
from silk_ros.evaluation.run_info import describe_run
from silk_ros.extractor import Extractor
from silk_ros.paths import default_model


@pytest.fixture
def report() -> Report:
    result = TaskResult(
        "relative_pose",
        {"SiLK": {"AUC@10": 0.5}, "SIFT": {"AUC@10": math.nan}},
        groups={"gap 1": {"SiLK": {"AUC@10": np.float32(0.25)}}},
        settings={"pairs": 3, "threshold": math.inf},
        details={"errors": {"SiLK": np.array([1.5, np.inf])}},
        curves=[Curve("Recall", "error", "recall", {"SiLK": ([1.0], [0.5])})],
        pictures=[Picture("SiLK", np.zeros((4, 4, 3), np.uint8))],
    )
    report = Report(describe_run("evaluate relative-pose kitchen", {"SiLK": Extractor.load(max_keypoints=1).backend}))
    report.outcomes.append(task_outcome("data/kitchen", result))
    report.failures.append(Failure("odometry", "data/kitchen", "ORB", "lost"))
    return report


def test_json_has_the_documented_keys_and_null_for_what_is_not_finite(report: Report, tmp_path: Path) -> None:
    report.write_json(tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert set(written) == {
        "silk_ros", "created", "command", "machine", "versions", "models", "results", "failures"
    }  # fmt: skip
    assert written["silk_ros"] == silk_ros.__version__
    assert written["results"] == [
        {
            "task": "relative_pose",
            "data": "data/kitchen",
            "settings": {"pairs": 3, "threshold": None},
            "overall": {"SiLK": {"AUC@10": 0.5}, "SIFT": {"AUC@10": None}},
            "groups": {"gap 1": {"SiLK": {"AUC@10": 0.25}}},
            "details": {"errors": {"SiLK": [1.5, None]}},
            "curves": [{"title": "Recall", "x_label": "error", "y_label": "recall", "lines": {"SiLK": [[1.0], [0.5]]}}],
        }
    ]
    assert written["failures"] == [{"task": "odometry", "data": "data/kitchen", "method": "ORB", "message": "lost"}]


def test_the_run_names_the_models_with_their_hash_and_the_versions(report: Report) -> None:
    assert report.run.models["SiLK"] == {
        "file": default_model().name,
        "sha256": hashlib.sha256(default_model().read_bytes()).hexdigest(),
    }
    assert {"Python", "OpenCV", "numpy", "onnxruntime"} <= report.run.versions.keys()
    assert report.run.machine["processor"] and report.run.machine["cores"]


def test_trajectories_come_with_the_true_one() -> None:
    rows = [[0.0] * 7 + [1.0]]
    details = {"trajectories": {"SIFT": rows}, "ground_truth": rows}
    assert task_outcome("kitti", TaskResult("odometry", {}, details=details)).trajectories == {
        GROUND_TRUTH: rows,
        "SIFT": rows,
    }
    assert task_outcome("kitti", TaskResult("homography", {})).trajectories == {}


def test_a_failure_says_what_where_and_why() -> None:
    assert str(Failure("odometry", "kitti", "ORB", "lost")) == "odometry ORB on kitti: lost"
    assert str(Failure("odometry", "kitti", "", "no calib.txt")) == "odometry on kitti: no calib.txt"


def test_titles_become_file_names() -> None:
    assert slug("Odometry on ../k itti: ATE [m]") == "odometry-on-k-itti-ate-m"
