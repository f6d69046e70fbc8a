from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.datasets.gray_images import load_images, resize, resize_shorter_edge
from silk_ros.evaluation.options import DatasetError


def test_resize_maps_pixel_areas() -> None:
    _, transform = resize(np.zeros((4, 8), np.uint8), (4, 8))
    np.testing.assert_allclose(transform, [[0.5, 0, -0.25], [0, 2, 0.5], [0, 0, 1]])
    edge = np.zeros((60, 90), np.uint8)
    edge[:, 45:] = 255
    for shorter_edge in (20, 120):
        resized, transform = resize_shorter_edge(edge, shorter_edge)
        assert min(resized.shape) == shorter_edge
        middle = transform @ [44.5, 0, 1]
        assert middle[0] == pytest.approx((resized.shape[1] - 1) / 2)
        row = resized[0].astype(float)
        np.testing.assert_allclose(row + row[::-1], 255)


def test_images_of_a_folder(tmp_path: Path) -> None:
    for name, level in (("b.png", 20), ("a.jpg", 10)):
        cv2.imwrite(str(tmp_path / name), np.full((30, 40, 3), level, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    assert [int(image.mean()) for image in load_images(tmp_path)] == [10, 20]
    (tmp_path / "c.png").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"cannot read the image '.*c\.png'"):
        load_images(tmp_path)


def test_sixteen_bit_images_are_stretched_by_their_range(tmp_path: Path) -> None:
    """The high byte of a 12-bit image would have 16 grey levels."""
    ramp = np.linspace(200, 4000, 4096).astype(np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "a.png"), ramp)
    cv2.imwrite(str(tmp_path / "b.tif"), (ramp >> 4).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "c.png"), 16 * ramp)
    stretched, eight_bit, left_aligned = load_images(tmp_path)
    assert stretched.min() == 0 and stretched.max() == 255 and len(np.unique(stretched)) == 256
    np.testing.assert_array_equal(eight_bit, ramp >> 4)
    np.testing.assert_allclose(left_aligned, 16.0 * ramp * 255 / 65535, atol=1)
    cv2.imwrite(str(tmp_path / "d.tif"), ramp.astype(np.float32))
    with pytest.raises(DatasetError, match=r"d\.tif': .*: convert it to grey or colour, 8 or 16 bits"):
        load_images(tmp_path)


def test_folders_without_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no images in '.*' *: it should hold .*\.png"):
        load_images(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        load_images(tmp_path / "missing")


def test_images_come_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    for level, name in enumerate(("frame2.png", "frame10.png", "frame100.png", "._frame2.png")):
        cv2.imwrite(str(tmp_path / name), np.full((30, 40), 10 * level, np.uint8))
    assert [int(image[0, 0]) for image in load_images(tmp_path)] == [0, 10, 20]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_file_that_was_cut_off_is_no_image(tmp_path: Path, suffix: str) -> None:
    """OpenCV gives a partly grey image."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8)
    (tmp_path / f"a{suffix}").write_bytes(cv2.imencode(suffix, noise)[1].tobytes()[:-500])
    with pytest.raises(DatasetError, match=rf"cannot read the image '.*a\{suffix}': .* cut off or damaged"):
        load_images(tmp_path)
