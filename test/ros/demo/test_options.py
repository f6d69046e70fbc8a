from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from silk_ros.images.calibration_file import write_calibration
from silk_ros.ros.demo.options import DemoOptions, check_source, parse


def checked(*arguments: str) -> DemoOptions:
    options = parse(list(arguments))
    check_source(options)
    return options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scale", "9"], "scale is out of its range, 0.1 to 4"),
        (["--max-keypoints", "0"], "max_keypoints is out of its range, 1 to 30000"),
        (["--precision", "int4"], "choose one of auto, fp32"),
        (["--rate", "-1"], "rate is out of its range, 0 to 1000"),
        (["--disparity-offset", "x"], "'x' is not a number"),
        (["--max-images", "1"], "'1' is not a whole number from 2"),
        (["--seconds", "5"], "--seconds goes with --live"),
        (["--live", "--max-images", "5"], "--max-images does not go with --live"),
    ],
)
def test_values_are_checked_first(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_help_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    text = capsys.readouterr().out
    assert not ended.value.code and "__main__" not in text
    assert "python -m silk_ros.ros.demo" in text and "make demo SEQUENCE=my_images" in text


def test_only_given_parameters_go_to_the_front_end() -> None:
    assert parse([]).front_end() == {}
    options = parse(["--max-keypoints", "1000", "--scale", "1", "--precision", "fp32"])
    assert options.front_end() == {"max_keypoints": 1000, "scale": 1.0, "precision": "fp32"}


def test_a_calibration_is_numbers_or_a_file(image_folder: Path, tmp_path: Path) -> None:
    camera = checked("--sequence", str(image_folder), "--camera", "200,210,159,119,0.1,0,0,0").calibration
    assert camera is not None and (camera.width, camera.height) == (320, 240)
    assert camera.matrix.tolist() == [[200, 0, 159], [0, 210, 119], [0, 0, 1]]
    write_calibration(tmp_path / "camera.yaml", camera)
    read = checked("--sequence", str(image_folder), "--camera", str(tmp_path / "camera.yaml")).calibration
    assert read is not None
    np.testing.assert_array_equal(read.distortion, camera.distortion)


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ("200,210,159", "4 or 8 numbers"),
        ("0,210,159,119", "fx and fy above 0"),
        ("no.yaml", "neither fx,fy,cx,cy.* nor a YAML file"),
    ],
)
def test_wrong_calibrations_are_refused(image_folder: Path, camera: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked("--sequence", str(image_folder), "--camera", camera)


def test_a_calibration_of_another_size_or_for_a_pair_is_refused(image_folder: Path, tmp_path: Path) -> None:
    camera = checked("--sequence", str(image_folder), "--camera", "200,210,159,119").calibration
    assert camera is not None
    write_calibration(tmp_path / "camera.yaml", camera)
    with pytest.raises(ValueError, match="320x240 images, but they are 640x480"):
        checked("--camera", str(tmp_path / "camera.yaml"))
    for side in ("left", "right"):
        (tmp_path / "pair" / side).mkdir(parents=True)
        (tmp_path / "pair" / side / "000.png").write_bytes((image_folder / "000.png").read_bytes())
    with pytest.raises(ValueError, match=r"has stereo pairs: .*calib.txt"):
        checked("--sequence", str(tmp_path / "pair"), "--camera", "200,210,159,119")


def test_a_missing_model_is_named() -> None:
    with pytest.raises(ValueError, match=r"no model 'none.onnx'"):
        checked("--model", "none.onnx")


def test_a_camera_of_this_machine_is_live() -> None:
    assert parse(["--sequence", "0"]).live and not parse([]).live
