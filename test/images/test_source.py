from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.source import SourceImage


@pytest.mark.parametrize("image", [np.zeros((4, 5), np.float32), np.zeros((4, 5), np.int16), np.zeros((4, 5), bool)])
def test_an_image_without_an_encoding_is_explained(image: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match=r"cannot publish an image of shape \(4, 5\)"):
        SourceImage.from_array(image)


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_without_an_encoding_are_explained(channels: int) -> None:
    with pytest.raises(ValueError, match="cannot publish"):
        SourceImage.from_array(np.zeros((4, 5, channels), np.uint8))
