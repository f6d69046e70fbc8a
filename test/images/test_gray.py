from __future__ import annotations

import array
import re

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.gray import ENCODING_ALIASES, ENCODINGS, check_layout, to_gray

EVERY_ENCODING = [*ENCODINGS, *ENCODING_ALIASES]
MEANING = {"8UC1": "mono8", "16UC1": "mono16", "8UC3": "bgr8", "8UC4": "bgra8", "16UC3": "bgr16",
           "uyvy": "yuv422", "yuyv": "yuv422_yuy2"}  # fmt: skip
BAYER = [name for name in ENCODINGS if name.startswith("bayer")]
HEIGHT, WIDTH = 6, 8


def encoded(bgr: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    """The rows of bytes (H, step) that a driver would publish of a colour image."""
    name = encoding if encoding in ENCODINGS else MEANING[encoding]
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    if name.startswith("yuv422"):
        chroma = np.full_like(gray, 77)
        pixels = np.stack([chroma, gray] if name == "yuv422" else [gray, chroma], axis=2)
    elif name.startswith("bayer"):
        pixels = np.empty_like(gray)
        for site, letter in enumerate(name[6:10]):
            row, column = divmod(site, 2)
            pixels[row::2, column::2] = bgr[row::2, column::2, "bgr".index(letter)]
    elif name.startswith("mono"):
        pixels = gray
    else:
        planes = dict(zip("bgra", [*np.moveaxis(bgr, 2, 0), np.full_like(gray, 77)]))
        pixels = np.stack([planes[letter] for letter in name.rstrip("0123456789")], axis=2)
    if name.endswith("16"):
        pixels = pixels.astype("<u2") * 257
    return np.ascontiguousarray(pixels).view(np.uint8).reshape(len(bgr), -1)


def gray_of(rows: NDArray[np.uint8], width: int, encoding: str, is_bigendian: bool = False) -> NDArray[np.uint8]:
    return to_gray(rows.tobytes(), len(rows), width, encoding, rows.shape[1], is_bigendian)


@pytest.mark.parametrize("encoding", EVERY_ENCODING)
@pytest.mark.parametrize(
    ("bgr", "gray"), [((0, 0, 255), 76), ((0, 255, 0), 150), ((255, 0, 0), 29)], ids=["red", "green", "blue"]
)
def test_pure_colours_have_their_brightness(encoding: str, bgr: tuple[int, int, int], gray: int) -> None:
    scene = np.full((HEIGHT, WIDTH, 3), bgr, np.uint8)
    converted = gray_of(encoded(scene, encoding), WIDTH, encoding)
    assert (converted.shape, converted.dtype) == ((HEIGHT, WIDTH), np.uint8)
    np.testing.assert_allclose(converted, gray, atol=1)


@pytest.mark.parametrize("encoding", [name for name in EVERY_ENCODING if name not in BAYER])
def test_pixels_stay_in_place(encoding: str) -> None:
    scene = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    expected = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY).astype(int)
    np.testing.assert_allclose(
        gray_of(encoded(scene, encoding), WIDTH, encoding), expected, atol=encoding.endswith(("16", "16UC3"))
    )


@pytest.mark.parametrize("encoding", BAYER)
def test_bayer_mosaics_stay_in_place(encoding: str) -> None:
    ramp = np.add.outer(7 * np.arange(HEIGHT), 20 * np.arange(WIDTH)).astype(np.uint8)
    converted = gray_of(encoded(np.dstack([ramp] * 3), encoding), WIDTH, encoding)
    np.testing.assert_allclose(converted[1:-1, 1:-1], ramp[1:-1, 1:-1].astype(int), atol=1)


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_mono16_is_rounded_to_the_nearest(is_bigendian: bool) -> None:
    values = np.arange(65536).reshape(256, 256)
    rows = values.astype(">u2" if is_bigendian else "<u2").view(np.uint8)
    np.testing.assert_array_equal(gray_of(rows, 256, "mono16", is_bigendian), np.round(values * 255 / 65535))


@pytest.mark.parametrize("encoding", [name for name in EVERY_ENCODING if "16" in name])
def test_big_endian_gives_the_same_image(encoding: str) -> None:
    little = np.random.default_rng(1).integers(
        0, 256, (HEIGHT, WIDTH * ENCODINGS[ENCODING_ALIASES.get(encoding, encoding)].channels * 2), np.uint8
    )
    big = little.reshape(HEIGHT, -1, 2)[:, :, ::-1].reshape(HEIGHT, -1)
    np.testing.assert_array_equal(gray_of(big, WIDTH, encoding, True), gray_of(little, WIDTH, encoding))


@pytest.mark.parametrize("encoding", EVERY_ENCODING)
def test_padding_is_ignored(encoding: str) -> None:
    scene = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    rows = encoded(scene, encoding)
    padded = np.pad(rows, ((0, 0), (0, 5)), constant_values=99)
    converted = gray_of(padded, WIDTH, encoding)
    np.testing.assert_array_equal(converted, gray_of(rows, WIDTH, encoding))
    assert converted.flags.c_contiguous


@pytest.mark.parametrize(
    "container",
    [bytes, bytearray, memoryview, lambda data: array.array("B", data), lambda data: np.frombuffer(data, np.uint8)],
)
def test_any_buffer_is_taken_without_a_copy(container: type) -> None:
    data = container(bytes(range(48)))
    converted = to_gray(data, HEIGHT, WIDTH, "mono8", WIDTH)
    assert converted.ravel().tolist() == list(range(48))
    assert np.shares_memory(converted, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    ("height", "width", "encoding", "step", "length", "message"),
    [
        (6, 8, "bgr8", 23, 138, "step of 23 bytes is shorter .* fix 'step'"),
        (6, 8, "mono16", 8, 48, "step of 8 bytes is shorter"),
        (6, 8, "mono8", -8, -48, "step of -8 bytes is shorter"),
        (6, 8, "mono8", 8, 47, "has 47 bytes, .* = 48: fix"),
        (6, 8, "mono8", 8, 49, "has 49 bytes, .* = 48: fix"),
        (6, 8, "mono8", 8, 0, "has 0 bytes"),
        (0, 8, "mono8", 8, 0, "8x0 pixels is empty: check"),
        (6, 0, "mono8", 0, 0, "0x6 pixels is empty: check"),
        (6, 7, "yuv422", 14, 84, "width is 7: use an even width"),
        (6, 7, "yuyv", 14, 84, "width is 7: use an even width"),
    ],
)
def test_a_buffer_that_does_not_fit_is_explained(
    height: int, width: int, encoding: str, step: int, length: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_layout(height, width, encoding, step, length)
    with pytest.raises(ValueError, match=message):
        to_gray(bytes(length), height, width, encoding, step) if length >= 0 else check_layout(
            height, width, encoding, step, 0
        )


@pytest.mark.parametrize("encoding", ["", "32FC1", "MONO8", "h264"])
def test_an_unknown_encoding_lists_the_known_ones(encoding: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"'{encoding}'")) as caught:
        to_gray(bytes(48), HEIGHT, WIDTH, encoding, WIDTH)
    assert all(known in str(caught.value) for known in EVERY_ENCODING)
