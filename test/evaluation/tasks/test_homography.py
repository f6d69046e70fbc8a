import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.methods.base import Keypoints
from silk_ros.evaluation.methods.load import load_method
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.tasks.homography import evaluate_homography
from silk_ros.geometry.homography import warp_points

SHIFT = np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]], np.float64)
CORNERS = np.array([[10, 10], [60, 10], [60, 30], [10, 30], [35, 20]], np.float32)


class Scripted:
    """Finds what it is told to in an image of one grey level, and matches row to row."""

    name = "scripted"

    def __init__(self, points: dict[int, np.ndarray]) -> None:
        self._points = points
        self.seen: list[int] = []

    def extract(self, image: np.ndarray) -> Keypoints:
        self.seen.append(int(image[0, 0]))
        points = self._points[self.seen[-1]].astype(np.float32)
        return Keypoints(points, np.ones(len(points), np.float32), np.ones((len(points), 1), np.float32))

    def match(self, a: Keypoints, b: Keypoints, ratio: float | None, double_softmax: float | None) -> np.ndarray:
        return np.arange(min(len(a), len(b)), dtype=np.int32)[:, None].repeat(2, axis=1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sequence i_a of grey levels 10, 20, 30 and v_b of 40, 50, 80x40 pixels; images move by 10 px to the right."""
    for name, levels in {"i_a": (10, 20, 30), "v_b": (40, 50)}.items():
        (tmp_path / name).mkdir()
        for number, level in enumerate(levels, start=1):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full((40, 80), level, np.uint8))
            if number > 1:
                np.savetxt(tmp_path / name / f"H_1_{number}", SHIFT)
    return tmp_path


@pytest.fixture
def method() -> Scripted:
    """Right on image 2 of i_a, one of five matches 9 px off on image 3, and two matches 2 px off in v_b."""
    moved = warp_points(SHIFT, CORNERS)
    one_off, all_off = moved.copy(), moved[:2].copy()
    one_off[4, 1] += 9
    all_off[:, 1] += 2
    return Scripted({10: CORNERS, 20: moved, 30: one_off, 40: CORNERS[:2], 50: all_off})


def test_every_metric_of_a_hand_computed_case(data: Path, method: Scripted) -> None:
    result = evaluate_homography(method, data, Options(shorter_edge=40))
    illumination = result.groups["illumination"]["scripted"]
    assert illumination == pytest.approx(
        {
            "repeatability@1": (1 + 8 / 10) / 2,
            "repeatability@3": (1 + 8 / 10) / 2,
            "HA@1": 1,  # RANSAC leaves the wrong match out
            "HA@3": 1,
            "AUC@1": 1,
            "AUC@3": 1,
            "MMA@1": (1 + 4 / 5) / 2,
            "MMA@3": (1 + 4 / 5) / 2,
            "keypoints": 5,
            "matches": 5,
        },
        abs=1e-4,
    )
    viewpoint = result.groups["viewpoint"]["scripted"]
    assert viewpoint == pytest.approx(
        dict(illumination, **dict.fromkeys(illumination, 0))
        | {"repeatability@3": 1, "MMA@3": 1, "keypoints": 2, "matches": 2}
    )
    # Over pairs, not over groups.
    assert result.overall["scripted"]["MMA@1"] == pytest.approx((1 + 4 / 5 + 0) / 3)
    assert result.overall["scripted"]["HA@1"] == pytest.approx(2 / 3)


def test_curves_and_details_hold_every_threshold_and_pair(data: Path, method: Scripted) -> None:
    result = evaluate_homography(method, data, Options(shorter_edge=40))
    mma, accuracy = result.curves
    thresholds, values = mma.lines["scripted"]
    assert thresholds == list(range(1, 11))
    np.testing.assert_allclose(values, [1.8 / 3, *[2.8 / 3] * 7, 1, 1])
    np.testing.assert_allclose(accuracy.lines["scripted"][1], [2 / 3] * 10)
    pairs = json.loads(json.dumps(result.details))["pairs"]["scripted"]
    assert [(pair["sequence"], pair["image"]) for pair in pairs] == [("i_a", 2), ("i_a", 3), ("v_b", 2)]
    assert [pair["corner_error"] for pair in pairs] == [pytest.approx(0, abs=1e-4)] * 2 + [float("inf")]


def test_each_image_is_extracted_once(data: Path, method: Scripted) -> None:
    evaluate_homography(method, data, Options(shorter_edge=40))
    assert method.seen == [10, 20, 30, 40, 50]


def test_only_the_best_keypoints_are_used(data: Path, method: Scripted) -> None:
    result = evaluate_homography(method, data, Options(shorter_edge=40, top_k=4), skip=["v_b"])
    assert result.overall["scripted"]["keypoints"] == 4 and result.overall["scripted"]["MMA@1"] == 1
    assert list(result.groups) == ["illumination"] and result.settings["skipped"] == ["v_b"]


def test_pictures_are_spread_over_the_pairs(data: Path, method: Scripted) -> None:
    result = evaluate_homography(method, data, Options(shorter_edge=40, pictures=2))
    assert [picture.caption for picture in result.pictures] == [
        "scripted, i_a 1-2: 5 of 5 matches within 3 px",
        "scripted, v_b 1-2: 2 of 2 matches within 3 px",
    ]
    assert result.pictures[0].image.shape == (40, 160, 3)
    assert not evaluate_homography(method, data, Options(shorter_edge=40, pictures=0)).pictures


def test_images_are_480_high_unless_told_otherwise(data: Path) -> None:
    settings = evaluate_homography(load_method("orb", 10), data, Options()).settings
    assert settings["shorter_edge"] == 480 and settings["pairs"] == 3


def test_data_errors_come_through(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no sequences"):
        evaluate_homography(load_method("orb", 10), tmp_path, Options())
