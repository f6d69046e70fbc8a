"""Which of the ways to give a parameter counts, and what is said of those that have no effect."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import pytest

from silk_ros.commands.parameter_options import OF_THE_NODE, add_parameter_options, parameter_values, used_parameters
from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.parameters.help import parameter_help
from silk_ros.paths import share_directory

UNUSED = OF_THE_NODE | {"tracks": "of messages"}


def values(*arguments: str, **defaults: Any) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_parameter_options(parser)
    return parameter_values(parser.parse_args(arguments), defaults, UNUSED)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text("/**:\n  ros__parameters: {max_keypoints: 700, scale: 0.7, selection: {border: 3.0}}\n")
    return path


def test_set_overrides_the_file_that_the_preset_and_that_the_defaults(file: Path) -> None:
    plain = values(max_keypoints=100, scale=1.0)
    assert (plain["max_keypoints"], plain["scale"], plain["selection.cell_size"]) == (100, 1.0, 0.0)
    preset = values("--preset", "orb_slam", max_keypoints=100)
    assert (preset["max_keypoints"], preset["selection.border"], preset["selection.cell_size"]) == (2000, 19.0, 32.0)
    given = values("--set", "scale=0.9", "--params", str(file), "--preset", "orb_slam")
    assert (given["max_keypoints"], given["selection.border"], given["selection.cell_size"]) == (700, 3.0, 32.0)
    assert given["scale"] == 0.9
    assert set(given) == {declaration.name for declaration in DECLARATIONS}


def test_of_an_option_and_its_long_form_the_last_one_counts() -> None:
    assert values("--scale", "1", "--set", "scale=0.6")["scale"] == 0.6
    assert values("--set", "scale=0.6", "--scale", "1")["scale"] == 1.0


def test_unused_parameters_of_a_file_are_named_and_keep_their_defaults(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "my.yaml"
    given = "{autostart: false, no_data_timeout: 5.0, tracks: {max_count: 9}, max_keypoint: 3, use_sim_time: true}"
    path.write_text(f"/**:\n  ros__parameters: {given}\n")
    with caplog.at_level(logging.INFO):
        assert values("--params", str(path)) == values()
    unknown, ignored = (record.getMessage() for record in caplog.records)
    assert ignored.endswith(
        "not used here: autostart (of a running node), tracks.max_count (of messages), use_sim_time (of a running node)"
    )
    assert f"'{path}': no parameter 'max_keypoint': did you mean max_keypoints" in unknown


def test_the_whole_file_of_the_node_is_taken_and_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert values("--params", str(share_directory() / "config" / "silk.yaml")) == values()
    assert not caplog.records


def test_an_unused_parameter_that_was_set_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"tracks\.max_count has no effect here, as it is of messages: leave it out"):
        values("--set", "tracks.max_count=9")


def test_a_wrong_value_in_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("/**:\n  ros__parameters: {scale: 9.0}\n")
    with pytest.raises(ValueError, match=r"my\.yaml': scale is out of its range, 0\.1 to 4"):
        values("--params", str(path))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--set", "scale"], "is not NAME=VALUE"),
        (["--set", "scales=1"], "did you mean scale"),
        (["--scale", "0"], "out of its range"),
        (["--rectified", "x"], "choose one of auto, true, false"),
    ],
)
def test_wrong_arguments_end_with_usage(wrong: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        values(*wrong)
    assert message in capsys.readouterr().err


def test_the_help_names_the_parameters_that_have_an_effect() -> None:
    text = parameter_help(used_parameters(UNUSED))
    for declaration in DECLARATIONS:
        used = declaration.name not in UNUSED and not declaration.name.startswith("tracks.")
        assert (f"\n  {declaration.name}=" in text) == used, declaration.name
    assert "  scale=0.5 (0.1 to 4)\n" in text and "  tracks" not in text
