import math

import pytest

from silk_ros.evaluation.report.tables import Column, Grid, console_table, group_grid, method_grid

TABLE = {
    "SiLK": {"repeatability@1": 0.6, "repeatability@3": 0.8, "drift [%]": 1.25, "keypoints": 10000.0},
    "SIFT": {"repeatability@1": 0.31, "repeatability@3": 0.85, "drift [%]": 0.5, "keypoints": 2189.4},
}


def bold(grid: Grid) -> list[list[str]]:
    return [[cell.text for cell in cells if cell.best] for block in grid.cells() for _, cells in block]


def test_console_table_is_aligned_with_heads_of_single_words() -> None:
    assert console_table(method_grid(TABLE)).splitlines() == [
        "method      repeatability    repeatability    drift    keypoints",
        "                       @1               @3      [%]",
        "SiLK                0.600            0.800    1.250        10000",
        "SIFT                0.310            0.850    0.500         2189",
    ]


@pytest.mark.parametrize(
    ("metric", "sign"),
    [
        ("repeatability@1", 1),
        ("homography accuracy@3", 1),
        ("HA@1", 1),
        ("AUC@10", 1),
        ("mAA", 1),
        ("MMA@3", 1),
        ("rotation error mean", -1),
        ("rotation accuracy@5", 1),
        ("Chamfer error", -1),
        ("drift [%]", -1),
        ("ATE [m]", -1),
        ("RPE [m]", -1),
        ("failures", -1),
        ("keypoints", 0),
        ("matches", 0),
    ],
)
def test_what_is_better_follows_from_the_name(metric: str, sign: int) -> None:
    assert Column(metric).sign == sign


def test_the_best_of_a_column_is_the_lowest_of_errors_and_no_count_is_best() -> None:
    assert bold(method_grid(TABLE)) == [["0.600"], ["0.850", "0.500"]]


def test_the_best_is_found_within_each_group() -> None:
    groups = {
        "illumination": {"a": {"MMA@1": 0.9}, "b": {"MMA@1": 0.8}},
        "view": {"a": {"MMA@1": 0.1}, "b": {"MMA@1": 0.2}},
    }
    grid = group_grid(groups)
    assert bold(grid) == [["0.900"], [], [], ["0.200"]]
    assert [labels for block in grid.cells() for labels, _ in block] == [
        ("illumination", "a"),
        ("", "b"),
        ("view", "a"),
        ("", "b"),
    ]


def test_a_single_row_has_no_best() -> None:
    assert bold(method_grid({"a": {"MMA@1": 0.5}})) == [[]]


def test_values_that_are_missing_or_not_finite_are_shown_and_never_best() -> None:
    grid = method_grid(
        {"a": {"ATE [m]": math.inf, "mAA": 0.5}, "b": {"ATE [m]": 2.0}, "c": {"ATE [m]": math.nan, "mAA": 0.4}}
    )
    texts = [[cell.text for cell in cells] for block in grid.cells() for _, cells in block]
    assert texts == [["∞", "0.500"], ["2", "–"], ["–", "0.400"]]
    assert bold(grid) == [["0.500"], ["2"], []]


def test_equal_values_are_best_together_unless_all_are_equal() -> None:
    table = {name: {"mAA": 0.5, "ATE [m]": error} for name, error in (("a", 0.25), ("b", 0.25), ("c", 0.75))}
    assert bold(method_grid(table)) == [["0.250"], ["0.250"], []]


def test_shares_have_decimals_and_counts_have_none() -> None:
    table = {"a": {"HA@1": 0.0, "failures": 0.0}, "b": {"HA@1": 1.0, "failures": 3.0}}
    assert [[cell.text for cell in cells] for _, cells in method_grid(table).cells()[0]] == [
        ["0.000", "0"],
        ["1.000", "3"],
    ]
