from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.source import Lost, Source, SourceImage


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
