from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.methods.base import Keypoints
from silk_ros.evaluation.options import DatasetError, Options
from silk_ros.evaluation.tasks.registration import (
    chamfer_distance,
    evaluate_registration,
    match_weights,
    register,
    registration_errors,
)
from silk_ros.evaluation.tasks.registry import merged
from silk_ros.geometry.motion import transform


def keypoints(descriptors: np.ndarray) -> Keypoints:
    count = len(descriptors)
    return Keypoints(np.zeros((count, 2), np.float32), np.ones(count, np.float32), descriptors)


def shift(*translation: float) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, 3] = translation
    return motion


def test_weight_is_one_minus_the_ratio_of_squared_distances() -> None:
    a = keypoints(np.array([[1, 0], [0.6, 0.8]], np.float32))
    b = keypoints(np.array([[0, 1], [1, 0]], np.float32))
    # The first row is b's second exactly; the other is at squared distances .36 + .04 and .16 + .64.
    np.testing.assert_allclose(match_weights(a, b, np.array([[0, 1], [1, 0]])), [1, 1 - 0.4 / 0.8], rtol=1e-6)


def test_weight_of_binary_descriptors_is_by_hamming_distance() -> None:
    a, b = keypoints(np.array([[0b1]], np.uint8)), keypoints(np.array([[0b11110], [0b11]], np.uint8))
    np.testing.assert_allclose(match_weights(a, b, np.array([[0, 1]])), [1 - 1 / 5])


def test_weight_without_a_second_best_is_one() -> None:
    one = keypoints(np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(match_weights(one, one, np.array([[0, 0]])), [1])
    assert match_weights(one, one, np.empty((0, 2), np.int32)).shape == (0,)


def test_registration_stands_half_the_matches_being_wrong() -> None:
    rng = np.random.default_rng(0)
    source = rng.uniform(-1, 1, (100, 3))
    target = transform(shift(0.3, 0, -0.1), source) + rng.normal(0, 0.002, (100, 3))
    target[::2] = rng.uniform(-1, 1, (50, 3))
    motion = register(source, target, np.ones(100))
    np.testing.assert_allclose(motion, shift(0.3, 0, -0.1), atol=0.005)


def test_registration_without_matches_is_no_motion() -> None:
    np.testing.assert_array_equal(register(np.zeros((2, 3)), np.ones((2, 3)), np.ones(2)), np.eye(4))


def test_chamfer_distance_adds_both_ways() -> None:
    # From a: both are at 0 from b. From b: one is at 0, the other at 3.
    a, b = np.array([[0.0, 0, 0], [0, 0, 0]]), np.array([[0.0, 0, 0], [0, 0, 3]])
    assert chamfer_distance(a, b) == pytest.approx(0 + 9 / 2)


def test_errors_of_a_motion() -> None:
    # One point each, far apart: half of the joint cloud is the same, the other half is 0.1 m off, both ways.
    cloud0, cloud1 = np.array([[0.0, 0, 1]]), np.array([[0.0, 0, 9]])
    errors = registration_errors(shift(0.1, 0, 0), np.eye(4), cloud0, cloud1)
    assert errors == pytest.approx({"rotation": 0, "translation": 10, "Chamfer": 1000 * (0.01 / 2 + 0.01 / 2)})


def test_exact_matches_are_judged_perfect(scene: Any) -> None:
    folder = scene.seven_scenes(scene.path(4))
    methods = [scene.method, replace(scene.method, name="blind", blind=range(4))]
    options = Options(pictures=1)
    result = merged([evaluate_registration(each, folder, options, gap=2, max_pairs=5) for each in methods])
    row = result.overall["exact"]
    assert row["rotation accuracy@5"] == row["translation accuracy@5"] == row["Chamfer accuracy@10"] == 1
    # The depth images are exact to millimetres at the keypoints, but for points that hide each other.
    assert row["rotation error [°]@mean"] < 0.1 and row["translation error [cm]@median"] < 1
    assert row["matches"] > 100
    # Without matches there is no motion, and the error is all of it: 2 frames are 4 degrees and about 50 cm.
    assert result.overall["blind"]["rotation error [°]@mean"] == pytest.approx(4)
    assert result.overall["blind"]["translation error [cm]@mean"] == pytest.approx(50, abs=0.1)
    assert [pair["first"] for pair in result.details["pairs"]["exact"]] == [0, 1]
    assert len(result.pictures) == 2 and len(result.curves) == 2


def test_a_depth_image_without_depth_is_named(scene: Any) -> None:
    folder = scene.seven_scenes(scene.path(3))
    cv2.imwrite(str(folder / "frame-000002.depth.png"), np.zeros((480, 640), np.uint16))
    with pytest.raises(DatasetError, match=r"no depth in '.*frame-000002\.depth\.png'"):
        evaluate_registration(scene.method, folder, Options(), gap=2)


def test_depth_is_needed(scene: Any) -> None:
    folder = scene.kitti(scene.path(3), stereo=False)
    with pytest.raises(DatasetError, match="has no depth"):
        evaluate_registration(scene.method, folder, Options())


def test_the_sequence_must_be_longer_than_the_gap(scene: Any) -> None:
    folder = scene.seven_scenes(scene.path(2))
    with pytest.raises(DatasetError, match="2 frames"):
        evaluate_registration(scene.method, folder, Options())
