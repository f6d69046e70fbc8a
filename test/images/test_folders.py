from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.source import SourceImage
from silk_ros.images.sources import open_source

HEIGHT, WIDTH, COUNT = 24, 32, 10


def picture(level: int) -> NDArray[np.uint8]:
    """A grey picture that tells its place in a sequence by its brightness."""
    return np.random.default_rng(level).integers(20 * level, 20 * level + 10, (HEIGHT, WIDTH), np.uint8)


def pixels(image: SourceImage) -> NDArray[np.uint8]:
    return np.asarray(image.data).reshape(image.height, image.step)


@pytest.mark.parametrize(
    ("image", "suffix", "encoding"),
    [
        (picture(3), ".png", "mono8"),
        (picture(3), ".PGM", "mono8"),
        (np.dstack([picture(1), picture(2), picture(3)]), ".png", "bgr8"),
        (np.dstack([picture(1), picture(2), picture(3)]), ".bmp", "bgr8"),
        (np.dstack([picture(1), picture(2), picture(3), picture(4)]), ".png", "bgra8"),
        (picture(3).astype(np.uint16) * 300, ".png", "mono16"),
        (np.dstack([picture(1), picture(2), picture(3)]).astype(np.uint16) * 300, ".tiff", "bgr16"),
    ],
)
def test_a_folder_s_images_keep_their_format(
    tmp_path: Path, image: NDArray[np.generic], suffix: str, encoding: str
) -> None:
    assert cv2.imwrite(str(tmp_path / f"image{suffix}"), image)
    (read,) = open_source(str(tmp_path))
    assert (read.encoding, read.height, read.width, read.is_bigendian) == (encoding, HEIGHT, WIDTH, False)
    assert read.step * read.height == len(read.data)
    np.testing.assert_array_equal(read.data.view(image.dtype).reshape(image.shape), image)


def test_a_folder_is_played_in_the_order_of_names(tmp_path: Path) -> None:
    for level in (2, 0, 3, 1):
        cv2.imwrite(str(tmp_path / f"{level:03}.png"), picture(level))
    (tmp_path / "times.txt").write_text("not an image")
    source = open_source(str(tmp_path))
    for _ in range(2):
        np.testing.assert_array_equal([pixels(image) for image in source], [picture(level) for level in range(4)])


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_an_unreadable_image_is_named_when_its_turn_comes(tmp_path: Path, content: bytes) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), picture(1))
    (tmp_path / "2.png").write_bytes(content)
    images = iter(open_source(str(tmp_path)))
    assert next(images).encoding == "mono8"
    with pytest.raises(ValueError, match=r"cannot read the image .*2.png': remove or replace the file"):
        next(images)


def test_a_folder_without_images_says_what_it_should_hold(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"no images .*: there should be .*.png"):
        open_source(str(tmp_path))


def test_a_pattern_takes_only_the_files_it_names(tmp_path: Path) -> None:
    for name, level in (("f1.color.png", 10), ("f1.depth.png", 99), ("f2.color.png", 20)):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8), level, np.uint8))
    assert [int(image.data[0]) for image in open_source(str(tmp_path / "*.color.png"))] == [10, 20]
    with pytest.raises(ValueError, match="no images"):
        open_source(str(tmp_path / "*.infrared.png"))
