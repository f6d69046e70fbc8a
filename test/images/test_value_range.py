"""16-bit images with the values that cameras really give them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros.images.gray import ENCODINGS, to_gray
from silk_ros.images.value_range import ValueRange

HEIGHT, WIDTH = 160, 64
FULL_SCALE = 255 / 65535
THERMAL = [(28_500, 31_500), (60_000, 65_000), (52_000, 65_535)]  # of cameras whose values are temperatures
SIXTEEN = [name for name, layout in ENCODINGS.items() if layout.bits == 16]


def ramp(low: int, high: int, channels: int = 1) -> NDArray[np.uint16]:
    values = np.linspace(low, high, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    return values if channels == 1 else np.dstack([values] * channels)


def gray(
    values: NDArray[np.uint16], known: ValueRange | None = None, encoding: str = "mono16", big: bool = False
) -> NDArray[np.uint8]:
    data = values.astype(">u2" if big else "<u2")
    return to_gray(data.tobytes(), *values.shape[:2], encoding, data.strides[0], big, known)


@pytest.mark.parametrize("encoding", SIXTEEN)
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0, 1023), (64, 4095), (7000, 8000), (0, 16383), *THERMAL])
def test_narrow_ranges_use_all_grey_levels(encoding: str, big: bool, low: int, high: int) -> None:
    """In every 16-bit layout and byte order, with and without a stream, and wherever the range lies."""
    values = ramp(low, high, ENCODINGS[encoding].channels)
    expected = np.clip((ramp(low, high) - low) * (255 / (high - low)), 0, 255)
    inside = slice(1, -1)  # a mosaic has no neighbours beyond its border
    for known in (None, ValueRange(quiet=True)):
        converted = gray(values, known, encoding, big).astype(float)
        np.testing.assert_allclose(converted[inside, inside], expected[inside, inside], atol=4)
    assert len(np.unique(converted)) > 200


@pytest.mark.parametrize("values", [ramp(0, 65535), ramp(0, 65520) & 0xFFF0, ramp(3000, 20000)])
def test_images_that_use_more_bits_are_scaled_as_ever(values: NDArray[np.uint16]) -> None:
    """Full 16 bits, and 12 bits at the upper end of the container."""
    for known in (None, ValueRange()):
        np.testing.assert_array_equal(gray(values, known), np.round(values * FULL_SCALE))


def test_colours_that_are_dark_in_grey_are_not_stretched() -> None:
    """The buffer's values tell the bits, not those of the grey image."""
    blue = np.zeros((HEIGHT, WIDTH, 3), np.uint16)
    blue[..., 0] = ramp(0, 65535)
    assert gray(blue, ValueRange(), "bgr16").max() == 29


def test_the_range_of_a_stream_only_grows() -> None:
    known = ValueRange(quiet=True)
    first = gray(ramp(1000, 2000), known)
    assert (first.min(), first.max()) == (0, 255)
    gray(ramp(500, 3000), known)
    again = gray(ramp(1000, 2000), known)
    assert again.min() == pytest.approx(51, abs=2) and again.max() == pytest.approx(153, abs=2)
    np.testing.assert_array_equal(gray(ramp(1000, 2000), known), again)


def test_a_dark_start_of_16_bits_ends_with_the_first_bright_image(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    known = ValueRange()
    gray(ramp(100, 900), known)
    bright = ramp(100, 50_000)
    np.testing.assert_array_equal(gray(bright, known), np.round(bright * FULL_SCALE))
    np.testing.assert_array_equal(gray(ramp(100, 900), known), np.round(ramp(100, 900) * FULL_SCALE))
    assert [record.getMessage() for record in caplog.records] == [
        "16-bit images use values from 101 to 899: they are stretched to 8 bits",
        "16-bit images use values from 101 to 49951: from now on all are scaled by 255 / 65535",
    ]


def test_the_range_is_logged_once_and_not_for_single_photographs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    known = ValueRange()
    for _ in range(3):
        gray(ramp(7000, 8000), known)
        gray(ramp(0, 4095))
    gray(ramp(0, 65535), ValueRange())
    assert len(caplog.records) == 1 and "from 7001 to 7999" in caplog.text


@pytest.mark.parametrize("hot", [16_383, 16_384, 40_000, 65_535])
@pytest.mark.parametrize("size", [(10, 10), (1, 1)])
def test_hot_and_dead_pixels_do_not_take_the_range(hot: int, size: tuple[int, int]) -> None:
    """Nor do they end the stretching of the images to come."""
    values, known = np.tile(ramp(7000, 8000), size), ValueRange(quiet=True)
    values[3:-1:97, ::101], values[7::97, 2::101] = hot, 0
    for image in (values, ramp(7000, 8000)):
        converted = gray(image, known)
        assert np.percentile(converted, 1) < 5 and np.percentile(converted, 99) > 250
    assert gray(values, known)[3, 0] == 255


def test_a_small_bright_part_widens_the_range_and_keeps_its_shades() -> None:
    """What is more than a thousandth of the image is a picture, not a defect."""
    values = ramp(100, 4000)
    values[:8, :8] = np.arange(20_000, 20_640, 10).reshape(8, 8)
    np.testing.assert_array_equal(gray(values, ValueRange()), np.round(values * FULL_SCALE))


def test_the_opacity_of_an_image_is_no_part_of_its_range() -> None:
    values = np.dstack([*[ramp(200, 4000)] * 3, np.full((HEIGHT, WIDTH), 65535, np.uint16)])
    for encoding in ("bgra16", "rgba16"):
        assert np.ptp(gray(values, ValueRange(), encoding)) > 250


@pytest.mark.parametrize("encoding", SIXTEEN)
def test_every_colour_tells_the_width(encoding: str) -> None:
    """One bright colour of an image, and of a mosaic, takes 16 bits."""
    channels = ENCODINGS[encoding].channels
    for colour in range(min(channels, 3)) if channels > 1 else range(4):
        values = ramp(0, 1000, channels)
        (values[..., colour] if channels > 1 else values[colour // 2 :: 2, colour % 2 :: 2])[:] = 40_000
        known = ValueRange(quiet=True)
        gray(values, known, encoding)
        np.testing.assert_array_equal(gray(ramp(0, 4000), known), np.round(ramp(0, 4000) * FULL_SCALE))


@pytest.mark.parametrize("level", [0, 1, 7453, 16383, 16384, 65535])
def test_an_image_of_one_value_keeps_its_brightness(level: int) -> None:
    for known in (None, ValueRange()):
        converted = gray(np.full((HEIGHT, WIDTH), level, np.uint16), known)
        assert (converted == round(level * FULL_SCALE)).all()


def test_a_stream_that_starts_black_is_stretched_from_its_first_picture_on() -> None:
    """Thermal cameras also send images of one value in between, while their shutter is closed."""
    for low, high in ((0, 4000), *THERMAL):
        known = ValueRange(quiet=True)
        for _ in range(2):
            gray(np.zeros((HEIGHT, WIDTH), np.uint16), known)
            converted = gray(ramp(low, high), known)
            assert converted.min() == 0 and converted.max() == 255


def test_values_beyond_the_range_are_its_ends() -> None:
    known = ValueRange(quiet=True)
    gray(ramp(1000, 2000), known)
    values = ramp(1000, 2000)
    values[0, 0], values[-1, -1] = 3, 9000
    converted = gray(values, known)
    assert converted[0, 0] == 0 and converted[-1, -1] == 255
