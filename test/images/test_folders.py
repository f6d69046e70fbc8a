from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import write_kitti, write_tum
from numpy.typing import NDArray
from PIL import Image

from silk_ros.images.folders import photographs
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


PHOTO = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8), (0, 0), 2)


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, PHOTO)[1].tobytes()


def zeroed(data: bytes) -> bytes:
    """Data with a damaged sector in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes(512) + data[middle + 512 :]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("2.png", b"", "it is empty"),
        ("2.png", b"no image at all", "it is damaged, or no image"),
        ("2.png", encoded(".png")[:-200], "a PNG that is cut off"),
        ("2.png", zeroed(encoded(".png")), "its data is damaged"),
        ("2.jpg", encoded(".jpg")[:-200], "a JPEG that is cut off"),
        ("2.png", encoded(".jpg")[:-200], "a JPEG that is cut off"),
        ("2.bmp", encoded(".bmp")[:-200], "it is damaged, or no image"),
        ("2.ppm", encoded(".ppm")[:-200], "it is damaged, or no image"),
        ("2.webp", encoded(".webp")[:-200], "it is damaged, or no image"),
        ("2.tif", encoded(".tif")[:-200], "it is damaged, or no image"),
    ],
)
def test_an_unreadable_image_is_left_out_and_named(
    tmp_path: Path, name: str, content: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    for other in ("1.png", "3.png"):
        cv2.imwrite(str(tmp_path / other), PHOTO)
    (tmp_path / name).write_bytes(content)
    assert len(list(open_source(str(tmp_path)))) == 2
    first, last = caplog.messages
    assert f"{name}: left out: " in first and reason in first and "remove or replace the file" in first
    assert "2 images were read, 1 was left out" in last


@pytest.mark.parametrize(
    ("mode", "suffix", "encoding"),
    [
        ("1", ".png", "mono8"),
        ("P", ".png", "bgr8"),
        ("LA", ".png", "bgra8"),
        ("I;16", ".png", "mono16"),
        ("CMYK", ".jpg", "bgr8"),
        ("L", ".tif", "mono8"),
    ],
)
def test_rare_formats_give_their_picture(tmp_path: Path, mode: str, suffix: str, encoding: str) -> None:
    gray = cv2.cvtColor(PHOTO, cv2.COLOR_BGR2GRAY)
    if mode == "I;16":  # a narrow range would be stretched
        gray = cv2.normalize(gray, None, 0, 255, cv2.NORM_MINMAX)
    if mode == "1":
        gray = np.where(gray > 128, 255, 0).astype(np.uint8)
    picture = Image.fromarray(gray.astype(np.uint16) * 256) if mode == "I;16" else Image.fromarray(gray).convert(mode)
    picture.save(tmp_path / f"image{suffix}")
    (read,) = open_source(str(tmp_path))
    assert read.encoding == encoding
    np.testing.assert_allclose(read.gray().astype(int), gray, atol=6)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int32])
def test_values_that_are_no_picture_are_left_out_with_the_reason(tmp_path: Path, kind: type) -> None:
    cv2.imwrite(str(tmp_path / "depth.tiff"), np.ones((5, 6), kind))
    with pytest.raises(ValueError, match=r"depth.tiff: cannot publish an image of .*: convert it to grey or colour"):
        list(open_source(str(tmp_path)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_pixels_stay_where_the_file_stores_them(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees
    Image.fromarray(PHOTO).save(tmp_path / f"image{suffix}", exif=exif)
    (read,) = open_source(str(tmp_path))
    assert (read.width, read.height) == (160, 120)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".webp"])
def test_of_pages_and_animations_the_first_image_counts(tmp_path: Path, suffix: str) -> None:
    first, other = Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO)
    first.save(tmp_path / f"image{suffix}", save_all=True, append_images=[other], lossless=True)
    (read,) = open_source(str(tmp_path))
    np.testing.assert_allclose(pixels(read).reshape(PHOTO.shape)[..., ::-1].astype(int), PHOTO, atol=2)


@pytest.mark.parametrize(
    "names",
    [
        ["frame2.png", "frame10.png", "frame100.png"],
        ["9.png", "010.png", "11.png"],
        ["image_9_1.png", "image_10_0.png", "image_10_2.png"],
        ["1305031102.25.png", "1305031102.5.png", "1305031103.175304.png"],
    ],
)
def test_numbers_in_names_decide_the_order(tmp_path: Path, names: list[str]) -> None:
    for level, name in reversed([*enumerate(names)]):
        cv2.imwrite(str(tmp_path / name), picture(level))
    source = open_source(str(tmp_path))
    np.testing.assert_array_equal([pixels(image) for image in source], [picture(level) for level in range(len(names))])
    assert ("in the order of the numbers" in source.about) == (names != sorted(names))


@pytest.mark.parametrize("hidden", ["._1.png", ".1.png", ".thumbnails/1.png"])
@pytest.mark.parametrize("pattern", ["", "/*.png", "/**/*.png"])
def test_hidden_files_are_no_images(tmp_path: Path, hidden: str, pattern: str) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), picture(1))
    (tmp_path / hidden).parent.mkdir(exist_ok=True)
    (tmp_path / hidden).write_bytes(b"\0\5\x16\7")
    assert len(list(open_source(f"{tmp_path}{pattern}"))) == 1


def test_the_range_of_dark_16_bit_images_is_that_of_the_folder(tmp_path: Path) -> None:
    for index, top in enumerate((500, 1000)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.linspace(0, top, 64 * 48).reshape(48, 64).astype(np.uint16))
    tops = [int(image.gray().max()) for image in open_source(str(tmp_path))]
    assert min(tops) > 250


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


def test_photographs_of_data_sets_are_those_of_cameras(tmp_path: Path) -> None:
    """Depth images, of which training and quantisation would learn nothing, are left out."""
    write_tum(tmp_path / "b")
    write_kitti(tmp_path / "a")
    cv2.imwrite(str(tmp_path / "10.png"), PHOTO)
    cv2.imwrite(str(tmp_path / "2.png"), PHOTO)
    found = [path.relative_to(tmp_path).as_posix() for path in photographs(tmp_path)]
    assert found[:2] == ["2.png", "10.png"] and not [name for name in found if "depth" in name]
    assert {name.split("/")[1] for name in found if name.startswith("a/")} == {"image_0", "image_1"}
    assert any(name.startswith("b/rgbd_dataset_freiburg1_desk/rgb/") for name in found)


def test_a_folder_of_images_with_foreign_metadata_is_no_recording(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), PHOTO)
    (tmp_path / "metadata.yaml").write_text("author: somebody")
    assert len(list(open_source(str(tmp_path)))) == 1


def test_a_calibration_of_other_images_is_doubted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_kitti(tmp_path)
    calibration = (tmp_path / "calib.txt").read_text()
    assert len(list(open_source(str(tmp_path)))) and "principal point" not in caplog.text
    for path in tmp_path.glob("image_*/*.png"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5))
    assert calibration and len(list(open_source(str(tmp_path))))
    assert "the principal point" in caplog.text and "is the calibration of these images" in caplog.text
