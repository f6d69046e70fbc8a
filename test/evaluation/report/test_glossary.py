import json
from pathlib import Path

import pytest

from silk_ros.evaluation.report.glossary import MEANINGS, legend, legend_text
from silk_ros.evaluation.report.tables import Column
from silk_ros.evaluation.tasks.registry import TASKS

RESULTS = sorted((Path(__file__).resolve().parents[3] / "benchmarks" / "results").glob("evaluation-*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_column_of_a_result_is_explained(path: Path) -> None:
    seen = 0
    for result in json.loads(path.read_text(encoding="utf-8"))["results"]:
        rows = result["overall"].values() if "overall" in result else [point["metrics"] for point in result["points"]]
        for metric in {metric for row in rows for metric in row}:
            seen += 1
            assert legend(result["task"], [Column(metric)]), f"{metric} of {result['task']}"
    assert seen


def test_every_task_has_its_words() -> None:
    assert MEANINGS.keys() == {name.replace("-", "_") for name in TASKS}


def test_a_legend_names_each_column_once_and_says_what_is_better() -> None:
    columns = [Column(metric) for metric in ("drift [%]", "RPE [m]", "RPE [°]", "inliers", "matches", "AUC@5")]
    entries = legend("odometry", columns)
    assert list(entries) == ["drift ↓", "RPE ↓", "inliers ↑", "matches"]
    lines = legend_text(entries).splitlines()
    assert "higher is better" in lines[0]
    assert lines[1].startswith("  drift ↓") and lines[4].startswith("  matches    mutual")
