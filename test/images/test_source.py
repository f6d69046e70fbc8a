from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.source import DEFAULT_RATE, Lost, Source, SourceImage, usual_rate


@pytest.mark.parametrize("image", [np.zeros((4, 5), np.float32), np.zeros((4, 5), np.int16), np.zeros((4, 5), bool)])
def test_an_image_without_an_encoding_is_explained(image: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match=r"cannot publish an image of shape \(4, 5\)"):
        SourceImage.from_array(image)


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_without_an_encoding_are_explained(channels: int) -> None:
    with pytest.raises(ValueError, match="cannot publish"):
        SourceImage.from_array(np.zeros((4, 5, channels), np.uint8))


IMAGE = SourceImage.from_array(np.zeros((4, 5), np.uint8))


class Listed(Source):
    """What it is given."""

    def __init__(self, *items: SourceImage | Lost) -> None:
        super().__init__("drive")
        self.items = items

    def _read(self) -> Iterator[SourceImage | Lost]:
        yield from self.items


def test_what_cannot_be_read_is_left_out_and_said_once_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    cut, unknown = Lost("frame 7", "it is cut off"), replace(IMAGE, encoding="nonsense")
    source = Listed(IMAGE, cut, unknown, Lost("frame 9", "it is cut off"), IMAGE)
    for _ in range(2):
        assert len(list(source)) == 2
    assert len(caplog.messages) == 3
    assert caplog.messages[0] == "'drive', frame 7: left out: it is cut off"
    assert "'drive', image 2: left out: unknown image encoding 'nonsense'" in caplog.messages[1]
    assert caplog.messages[2] == "'drive': 2 images were read, 3 were left out"


@pytest.mark.parametrize(
    ("items", "reason"),
    [((), "it holds none"), ((Lost("frame 7", "it is cut off"), replace(IMAGE, step=3)), "frame 7: it is cut off")],
)
def test_a_source_of_which_nothing_can_be_used_is_an_error(items: tuple, reason: str) -> None:
    with pytest.raises(ValueError, match=f"no image of 'drive' can be used: {reason}"):
        list(Listed(*items))


def test_a_pair_whose_right_image_is_unusable_keeps_its_left_one(caplog: pytest.LogCaptureFixture) -> None:
    pair = replace(IMAGE, right=IMAGE)
    read = list(Listed(pair, replace(pair, right=replace(IMAGE, step=3)), replace(pair, step=3)))
    assert [image.right is not None for image in read] == [True, False]
    assert "right image 1" in caplog.messages[0] and "2 images were read, 2 were left out" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("stamps", "rate"),
    [
        ([0, 50, 100, 150], 20),
        ([0, 50, 100, 9000, 9050], 20),  # a pause
        ([1, 50, 100, 0, 200, 250, 300], 20),  # one stamp of 1970
        ([None, None], DEFAULT_RATE),
        ([None, 0, 50, None], 20),
        ([7, 7, 7], DEFAULT_RATE),
        ([], DEFAULT_RATE),
    ],
)
def test_the_rate_is_that_of_most_images(stamps: list[int | None], rate: float) -> None:
    assert usual_rate([None if stamp is None else stamp * 10**6 for stamp in stamps]) == pytest.approx(rate)
