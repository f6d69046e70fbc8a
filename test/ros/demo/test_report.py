from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.ros.demo.trajectory import compare, draw_trajectories


def test_picture_of_the_trajectories_shows_both(tmp_path: Path) -> None:
    truth, estimate = {}, {}
    for number in range(50):
        pose = np.eye(4)
        pose[:3, 3] = np.cos(number / 20), np.sin(number / 20), 0.1
        truth[number] = pose
        estimate[number] = np.eye(4)
        estimate[number][:3, 3] = 7 * (pose[:3, 3] - [1, 0, 0.1])
    estimate[49][:3, 3] += [0.5, 0, 0]
    comparison = compare(estimate, truth, metric=False)
    assert comparison is not None and comparison.length == pytest.approx(49 / 20, rel=1e-3)
    assert comparison.drift == pytest.approx(100 * 0.5 / 7 / comparison.length, rel=0.05)
    draw_trajectories(comparison, tmp_path / "picture.png")
    colours, counts = np.unique(cv2.imread(str(tmp_path / "picture.png")).reshape(-1, 3), axis=0, return_counts=True)
    assert counts[(colours == [60, 160, 60]).all(axis=1)] > 50 and counts[(colours == [210, 90, 30]).all(axis=1)] > 200
    assert compare(estimate, {}, metric=False) is None
