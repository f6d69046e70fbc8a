"""The motion window of the front-end: what is matched near the predicted positions, and when the whole image is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor, Matches
from silk_ros.backends.base import Extracted
from silk_ros.front_end_options import FrontEndOptions
from silk_ros.frontend import FrontEnd

COUNT, MOVED = 100, 12.0  # keypoints; pixels by which one of them moves
STILL = np.stack(np.meshgrid(np.arange(10), np.arange(10)), axis=-1).reshape(-1, 2) * np.float32(8) + np.float32(10)
Points = NDArray[np.float32]


class Seen:
    """A backend that finds given keypoints, each with a descriptor of its own: what matches what is known.

    matches: whether it matches too, as TensorRT does.
    """

    name, device, precision, reason = "seen", "CPU", "fp32", ""
    model, border, max_keypoints, descriptor_dim = Path("seen.onnx"), 3, COUNT, COUNT

    def __init__(self, frames: list[Points]) -> None:
        self._frames = iter(frames)

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        return next(self._frames), np.linspace(1, 0.5, COUNT, dtype=np.float32), np.eye(COUNT, dtype=np.float32)


class Matched(Seen):
    """The same backend, which also matches."""

    def extract_and_match(
        self, image: NDArray[np.uint8], previous: Points | None
    ) -> tuple[Extracted, tuple[NDArray[np.int32], Points] | None]:
        own = np.repeat(np.arange(COUNT, dtype=np.int32)[:, None], 2, axis=1)
        return self.extract(image), None if previous is None else (own, np.ones(COUNT, np.float32))


def followed(make: Callable[[list[Points]], Seen], frames: list[Points], width: int, **options: float) -> list[Matches]:
    front_end = FrontEnd(Extractor(make(frames)), FrontEndOptions(refinement="none", **options))  # type: ignore[arg-type]
    image = np.zeros((100, width), np.uint8)
    return [front_end.process(image, stamp).matches for stamp in range(len(frames))]


def one_moved() -> Points:
    points = STILL.copy()
    points[7, 0] += MOVED
    return points


@pytest.mark.parametrize("make", [Seen, Matched])
@pytest.mark.parametrize("radius", [0.1, 0.125])
def test_the_window_is_a_share_of_the_width(make: Callable[[list[Points]], Seen], radius: float) -> None:
    frames = [STILL, STILL, one_moved()]
    for width in (100, 200):
        found = followed(make, frames, width, radius=radius)[-1]
        assert len(found) == (COUNT if radius * width >= MOVED else COUNT - 1)


@pytest.mark.parametrize("make", [Seen, Matched])
def test_without_a_window_the_whole_image_is_matched(make: Callable[[list[Points]], Seen]) -> None:
    assert [len(each) for each in followed(make, [STILL, STILL, one_moved()], 100, radius=0)] == [0, COUNT, COUNT]


@pytest.mark.parametrize("make", [Seen, Matched])
def test_nothing_is_lost_where_the_camera_moves_otherwise(make: Callable[[list[Points]], Seen]) -> None:
    """A sudden start, motion that goes on, and a sudden stop, of far more than the radius."""
    frames = [STILL + np.float32(x) * np.float32([1, 0]) for x in (0, 0, 40, 80, 120, 120, 120)]
    assert [len(each) for each in followed(make, frames, 200, radius=0.05)] == [0] + [COUNT] * 6


@pytest.mark.parametrize("make", [Seen, Matched])
def test_the_window_goes_on_after_another_scene(make: Callable[[list[Points]], Seen]) -> None:
    """Where a scene ends, matches are wrong and so is the motion that they show; the next images are matched again."""
    other = np.random.default_rng(0).permutation(STILL)
    frames = [STILL, STILL, other, other, other, other]
    outlier = other.copy()
    outlier[7] += np.float32([MOVED, 0])
    found = followed(make, [*frames, outlier], 100, radius=0.1)
    assert [len(each) for each in found[3:6]] == [COUNT] * 3
    assert len(found[6]) == COUNT - 1, "and the window is on"


def test_matches_by_double_softmax_are_those_of_the_window() -> None:
    frames = [STILL, STILL, one_moved()]
    for radius, count in ((0.0, COUNT), (0.1, COUNT - 1)):
        assert len(followed(Seen, frames, 100, radius=radius, double_softmax=0.9)[-1]) == count


@pytest.mark.parametrize(
    ("radius", "reason"),
    [
        (40.0, r"a share of the image's width, 0 \(off\) to 1, not 40; 40 pixels of an image 640 wide are 0\.0625"),
        (-0.1, "0 .off. to 1, not -0.1$"),
        (float("nan"), "not nan"),
    ],
)
def test_a_radius_that_is_no_share_is_explained(radius: float, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        FrontEndOptions(radius=radius)
