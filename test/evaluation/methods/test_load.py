from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.methods.base import Cached, Keypoints, Method
from silk_ros.evaluation.methods.load import load_method

AKAZE = pytest.mark.skipif(
    not hasattr(cv2, "AKAZE") and not hasattr(getattr(cv2, "xfeatures2d", None), "AKAZE"),
    reason="this OpenCV has no AKAZE",
)
CLASSICAL = ["sift", "orb", pytest.param("akaze", marks=AKAZE)]


@pytest.mark.parametrize("name", ["silk", *CLASSICAL])
def test_keypoints_are_capped_sorted_and_in_pixels_of_the_image(name: str, photo: np.ndarray) -> None:
    method = load_method(name, max_keypoints=150)
    found = method.extract(photo)
    moved = method.extract(np.ascontiguousarray(photo[3:, 5:]))
    assert 20 < len(found) <= 150 and (np.diff(found.scores) <= 0).all()
    rows = method.match(found, moved)
    shift = found.keypoints[rows[:, 0]] - moved.keypoints[rows[:, 1]]
    assert len(rows) > 20 and len(set(rows[:, 1])) == len(rows)
    np.testing.assert_allclose(np.median(shift, axis=0), [5, 3], atol=0.1)


@pytest.mark.parametrize("name", CLASSICAL)
def test_an_image_without_keypoints_matches_nothing(name: str, photo: np.ndarray) -> None:
    method = load_method(name, max_keypoints=100)
    none, some = method.extract(np.zeros((100, 120), np.uint8)), method.extract(photo)
    assert none.keypoints.shape == (0, 2) and none.scores.shape == (0,) and len(none.descriptors) == 0
    for a, b in ((none, some), (some, none), (none, none)):
        assert method.match(a, b).shape == (0, 2)


@pytest.mark.parametrize("name", ["silk", *CLASSICAL])
def test_a_ratio_keeps_some_of_the_matches(name: str, photo: np.ndarray) -> None:
    method = load_method(name, max_keypoints=200)
    a, b = method.extract(photo), method.extract(cv2.GaussianBlur(photo, (0, 0), 1.0))
    mutual, strict = method.match(a, b), method.match(a, b, ratio=0.6)
    assert 0 < len(strict) < len(mutual)
    assert set(map(tuple, strict)) < set(map(tuple, mutual))


def test_only_cosine_descriptors_have_a_matching_probability(photo: np.ndarray) -> None:
    method = load_method("orb", max_keypoints=50)
    found = method.extract(photo)
    with pytest.raises(ValueError, match="ratio"):
        method.match(found, found, double_softmax=0.9)


def test_a_ratio_out_of_range_is_told(photo: np.ndarray) -> None:
    method = load_method("orb", max_keypoints=50)
    found = method.extract(photo)
    with pytest.raises(ValueError, match="ratio must be between"):
        method.match(found, found, ratio=1.5)


def test_best_are_the_first() -> None:
    found = Keypoints(np.zeros((3, 2), np.float32), np.array([3, 2, 1], np.float32), np.eye(3, dtype=np.float32))
    assert found.best(2).scores.tolist() == [3, 2] and len(found.best(2).descriptors) == 2
    assert len(found.best(9)) == 3


def test_cached_extracts_each_image_once(photo: np.ndarray) -> None:
    class Counting:
        name = "counting"
        calls = 0

        def extract(self, image: np.ndarray) -> Keypoints:
            self.calls += 1
            return Keypoints(image[:1, :2].astype(np.float32), np.ones(1, np.float32), np.ones((1, 1), np.float32))

        def match(self, a: Keypoints, b: Keypoints, **filters: float | None) -> np.ndarray:
            return np.array([[len(a) - 1, len(b) - 1]], np.int32)

    counting = Counting()
    method: Method = Cached(counting)
    found = method.extract(photo)
    assert method.extract(photo.copy()) is found and counting.calls == 1
    assert method.extract(photo.T) is not found and method.extract(photo.reshape(-1, 160)) is not found
    assert counting.calls == 3
    assert method.name == "counting" and method.match(found, found, ratio=0.9).tolist() == [[0, 0]]


def test_unknown_names_and_missing_files_say_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown method 'surf': choose an ONNX file, silk, sift, orb, akaze, xfeat"):
        load_method("surf", 10)
    with pytest.raises(FileNotFoundError, match=r"missing\.onnx"):
        load_method(str(tmp_path / "missing.onnx"), 10)


def test_an_opencv_without_akaze_says_which_one_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "AKAZE", raising=False)
    monkeypatch.delattr(cv2, "xfeatures2d", raising=False)
    with pytest.raises(ModuleNotFoundError, match="silk_ros\\[evaluate"):
        load_method("akaze", 10)


def test_a_name_can_carry_its_own_number_of_keypoints(photo: np.ndarray) -> None:
    method = load_method("sift@50", max_keypoints=1000)
    assert method.name == "SIFT@50"
    assert len(method.extract(photo)) == 50
