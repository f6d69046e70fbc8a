from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from silk_ros.odometry.relocation import Appearance


def features(tracks: np.ndarray, descriptors: np.ndarray) -> np.ndarray:
    cloud = np.empty(len(tracks), [("track_id", "<u4"), ("descriptor", descriptors.dtype, descriptors.shape[1:])])
    cloud["track_id"], cloud["descriptor"] = tracks, descriptors
    return cloud


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_landmarks_are_found_under_new_ids_and_go_on_under_the_old(room: Any, dtype: type) -> None:
    rng = np.random.default_rng(0)
    descriptors = (rng.integers(0, 256, (60, 32)) if dtype == np.uint8 else rng.normal(0, 1, (60, 32))).astype(dtype)
    window: Any = SimpleNamespace(tracks=np.arange(50))
    appearance = Appearance()
    appearance.learn(window, features(np.arange(60), descriptors))
    order = rng.permutation(60)
    assert appearance.relocate(window, features(1000 + order, descriptors[order]))
    seen = room.seen(np.eye(4), 1000 + np.arange(55))
    named = appearance.named(seen)
    assert named.tracks.tolist() == [*range(50), *range(1050, 1055)]  # ten were no landmarks
    np.testing.assert_array_equal(named.rays, seen.rays)
    appearance.learn(window, features(1000 + order, descriptors[order][::-1]))  # of the landmarks, under their old ids
    assert appearance.relocate(window, features(2000 + order, descriptors[order][::-1]))


def test_other_descriptors_are_no_landmarks() -> None:
    rng = np.random.default_rng(0)
    window: Any = SimpleNamespace(tracks=np.arange(50))
    appearance = Appearance()
    assert not appearance.relocate(window, features(np.arange(50), rng.normal(0, 1, (50, 32))))  # nothing is known
    appearance.learn(window, None)
    appearance.learn(window, np.zeros(50, [("x", "<f4")]))  # a cloud without descriptors
    appearance.learn(window, features(np.arange(50), rng.normal(0, 1, (50, 32))))
    assert not appearance.relocate(window, features(np.arange(60, 110), rng.normal(0, 1, (50, 32))))
    window.tracks = np.arange(100, 150)  # the landmarks have left the window
    assert not appearance.relocate(window, features(np.arange(50), rng.normal(0, 1, (50, 32))))
