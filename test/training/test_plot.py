from pathlib import Path

import cv2
import pytest

from training import train as training
from training.config import TrainConfig
from training.distributed import workplace
from training.photos import Photos
from training.plot import main
from training.train import train


def test_curves_of_a_training_become_a_picture(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    with workplace("cpu") as place:
        train(config, Photos.from_sources(config.data), tmp_path / "run", place)
    assert main([str(tmp_path / "run"), str(tmp_path / "curves.png")]) == 0
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape[1] > 1000 and picture.std() > 10
    assert "no curve of 'held-out photos'" in capsys.readouterr().err, "there is no validation"


def test_too_few_points_are_no_curve(config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with workplace("cpu") as place:
        train(config, Photos.from_sources(config.data), tmp_path / "run", place)
    assert main([str(tmp_path / "run"), str(tmp_path / "curves.png")]) == 1
    assert "only one logged step" in capsys.readouterr().err
    assert not (tmp_path / "curves.png").exists()


def test_a_folder_without_logs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tmp_path), str(tmp_path / "curves.png")]) == 1
    assert f"no training logs in '{tmp_path}'" in capsys.readouterr().err
