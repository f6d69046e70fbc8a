from __future__ import annotations

import array
import re
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from silk_ros.images.gray import (
    DEPTH_ENCODINGS,
    ENCODING_ALIASES,
    ENCODINGS,
    check_layout,
    decode_compressed,
    decode_gray,
    packed_size,
    to_gray,
)
from silk_ros.images.value_range import ValueRange

EVERY_ENCODING = [*ENCODINGS, *ENCODING_ALIASES]
MEANING = {"8UC1": "mono8", "16UC1": "mono16", "8UC3": "bgr8", "8UC4": "bgra8", "16UC3": "bgr16", "16UC4": "bgra16",
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
    elif name.startswith(("mono", "nv")):
        pixels = np.vstack([gray, np.full((len(gray) * ENCODINGS[name].chroma // 2, gray.shape[1]), 77, np.uint8)])
    else:
        planes = dict(zip("bgra", [*np.moveaxis(bgr, 2, 0), np.full_like(gray, 77)]))
        pixels = np.stack([planes[letter] for letter in name.rstrip("0123456789")], axis=2)
    if name.endswith("16"):
        pixels = pixels.astype("<u2") * 257
    return np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)


def gray_of(rows: NDArray[np.uint8], width: int, encoding: str, is_bigendian: bool = False) -> NDArray[np.uint8]:
    height = 2 * len(rows) // (2 + ENCODINGS[ENCODING_ALIASES.get(encoding, encoding)].chroma)
    return to_gray(rows.tobytes(), height, width, encoding, rows.shape[1], is_bigendian)


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
    np.testing.assert_allclose(gray_of(encoded(scene, encoding), WIDTH, encoding), expected, atol="16" in encoding)


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


@pytest.mark.parametrize("encoding", ["", "32FC2", "MONO8", "h264"])
def test_an_unknown_encoding_lists_the_known_ones(encoding: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"'{encoding}'")) as caught:
        to_gray(bytes(48), HEIGHT, WIDTH, encoding, WIDTH)
    assert all(known in str(caught.value) for known in EVERY_ENCODING)


@pytest.mark.parametrize("encoding", sorted(DEPTH_ENCODINGS))
def test_depths_are_refused_as_such(encoding: str) -> None:
    with pytest.raises(ValueError, match=f"the image encoding {encoding} holds depths: remap to the image of a grey"):
        to_gray(bytes(4 * HEIGHT * WIDTH), HEIGHT, WIDTH, encoding, 4 * WIDTH)


@pytest.mark.parametrize(("encoding", "rows"), [("nv12", 9), ("nv21", 9), ("nv24", 18)])
def test_the_grey_image_of_nv_stands_before_the_colours(encoding: str, rows: int) -> None:
    """As camera_ros publishes it: `step` is that of the grey image."""
    data = np.random.default_rng(3).integers(0, 256, (rows, WIDTH + 4), np.uint8)
    gray = to_gray(data.tobytes(), HEIGHT, WIDTH, encoding, WIDTH + 4)
    np.testing.assert_array_equal(gray, data[:HEIGHT, :WIDTH])
    assert packed_size(HEIGHT, WIDTH, encoding) == rows * WIDTH
    with pytest.raises(ValueError, match="step x height is 12 x 6 and the colours behind it = "):
        to_gray(data[:HEIGHT].tobytes(), HEIGHT, WIDTH, encoding, WIDTH + 4)


# --- JPEG and PNG ---


def encode(kind: str, image: NDArray[np.generic], *flags: int) -> bytes:
    return cv2.imencode(f".{kind}", image, list(flags))[1].tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments in front of its own."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def claimed_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing of it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def claimed_jpeg(width: int, height: int, jpeg: bytes) -> bytes:
    """The JPEG with another size in its frame header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def test_a_png_is_decoded_exactly(photo: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(decode_gray(encode("png", photo)), photo)


def test_a_jpeg_is_decoded_closely(photo: NDArray[np.uint8]) -> None:
    decoded = decode_gray(encode("jpg", photo, cv2.IMWRITE_JPEG_QUALITY, 95))
    assert (decoded.dtype, decoded.shape) == (np.uint8, photo.shape)
    assert np.abs(decoded.astype(float) - photo).mean() < 2


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_colour_becomes_grey(kind: str, photo: NDArray[np.uint8]) -> None:
    colour = np.dstack([photo, photo[::-1], photo.T[:240, :240].repeat(2, axis=1)[:, :320]])
    expected = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(float)
    assert np.abs(decode_gray(encode(kind, colour, cv2.IMWRITE_JPEG_QUALITY, 95)) - expected).mean() < 2


def test_sixteen_bits_are_scaled() -> None:
    levels = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    np.testing.assert_array_equal(decode_gray(encode("png", levels)), [[0, 0, 1, 1, 255]])


def test_a_progressive_jpeg_is_decoded(photo: NDArray[np.uint8]) -> None:
    assert decode_gray(encode("jpg", photo, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)).shape == photo.shape


def test_an_orientation_in_the_file_turns_no_pixels(photo: NDArray[np.uint8]) -> None:
    """The calibration is that of the sensor's pixels."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)  # orientation 6: turn by 90 degrees
    turned = with_segments(encode("jpg", photo), segment(0xE1, b"Exif\0\0" + tiff))
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_GRAYSCALE).shape == photo.shape[::-1]
    np.testing.assert_array_equal(decode_gray(turned), decode_gray(encode("jpg", photo)))


def test_padding_after_the_image_is_no_fault(photo: NDArray[np.uint8]) -> None:
    """As webcams send it."""
    for kind in ("jpg", "png"):
        data = encode(kind, photo)
        np.testing.assert_array_equal(decode_gray(data + bytes(100)), decode_gray(data))


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.5, 0.99, 0.9999])
def test_a_cut_off_image_is_explained(kind: str, share: float, photo: NDArray[np.uint8]) -> None:
    data = encode(kind, photo)
    with pytest.raises(ValueError, match=r"cut off or damaged|neither JPEG nor PNG"):
        decode_gray(data[: int(len(data) * share) + 1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"not an image", "neither JPEG nor PNG: set the publisher's format to jpeg or png"),
        (encode("bmp", np.zeros((4, 4), np.uint8)), "is BMP, neither JPEG nor PNG: set"),
        (encode("tiff", np.zeros((4, 4), np.uint8)), "is TIFF, neither JPEG nor PNG: set"),
        (encode("webp", np.zeros((4, 4, 3), np.uint8)), "is WebP, neither JPEG nor PNG: set"),
        (b"\0\0\0\1\x67\x42\0\x1f", r"is a frame of video \(H.264, H.265\), neither JPEG nor PNG: set"),
        (claimed_png(100, 100), "its data is damaged"),
        (b"\xff\xd8" + bytes(50), "cut off or damaged"),
    ],
)
def test_what_is_no_image_is_explained(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_gray(data)


BOMBS = {
    "png": claimed_png(30_000, 30_000),
    "jpeg": claimed_jpeg(30_000, 30_000, encode("jpg", np.zeros((16, 16), np.uint8))),
}
BOMBS["jpeg behind a comment that holds a small frame"] = with_segments(
    BOMBS["jpeg"], segment(0xFE, b"\xff\xc0\x00\x0b\x08\x00\x10\x00\x10")
)
BOMBS["jpeg behind padding and a lone marker"] = with_segments(BOMBS["jpeg"], b"\xff\xff\xff\x01")


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_of_a_huge_image_is_refused_unread(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"30000x30000 pixels is refused: the limit is 64 megapixels"):
            decode_gray(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_a_frame_that_only_a_decoder_would_find_is_refused() -> None:
    """Behind a zero marker, decoders look for the next marker, where a naive reader would jump over it."""
    small = segment(0xC0, b"\x08\x00\x10\x00\x10\x01\x01\x11\x00")
    huge = BOMBS["jpeg"][2:]
    hidden = b"\xff\xd8" + b"\xff\x00" + struct.pack(">H", 2 + len(huge)) + huge + small + b"\xff\xd9"
    with pytest.raises(ValueError, match="cut off or damaged"):
        decode_gray(hidden)


# --- the formats of image_transport ---

SCENE = cv2.GaussianBlur(np.random.default_rng(4).integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 4) * 3


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [("png", "{}8; png compressed "), ("jpg", "{}8; jpeg compressed "), ("png", " {}8;  PNG compressed")],
)
def test_a_mosaic_in_a_file_becomes_the_grey_of_its_raw_image(pattern: str, kind: str, name: str) -> None:
    """Bayer cameras through image_transport: only the format says that the one channel is a mosaic."""
    encoding = f"bayer_{pattern}8"
    mosaic = encoded(SCENE, encoding)
    raw = gray_of(mosaic, 64, encoding).astype(float)
    data = encode(kind, mosaic, cv2.IMWRITE_JPEG_QUALITY, 100)
    image, found = decode_compressed(data, name.format(f"bayer_{pattern}"))
    assert found == encoding and image.shape == (48, 64)
    for text in (name.format(f"bayer_{pattern}"), name.format(f"BAYER_{pattern.upper()}")):
        assert np.abs(decode_gray(data, text) - raw).mean() < (1 if kind == "png" else 3)


def test_a_mosaic_of_16_bits_is_demosaiced_and_stretched() -> None:
    mosaic = encoded(SCENE, "bayer_rggb8").astype(np.uint16) * 16
    data = encode("png", mosaic)
    image, found = decode_compressed(data, "bayer_rggb16; png compressed ")
    assert found == "bayer_rggb16" and image.dtype == np.uint16
    known = ValueRange(quiet=True)
    expected = to_gray(mosaic.tobytes(), 48, 64, "bayer_rggb16", 128, value_range=known)
    np.testing.assert_array_equal(decode_gray(data, "bayer_rggb16; png compressed ", known), expected)
    assert np.ptp(expected) > 200


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("jpeg", "bgr"),
        ("png", "bgr"),
        ("", "bgr"),
        ("rgb8", "bgr"),  # image_transport writes no such format, and reads the file as it is
        ("rgb8; jpeg compressed bgr8", "bgr"),
        ("bgr8; jpeg compressed bgr8", "bgr"),
        ("bgra8; png compressed bgr8", "bgr"),
        ("RGB8;  PNG  compressed BGR8", "bgr"),
        ("bayer_rggb8; jpeg compressed bgr8", "bgr"),  # converted before it was compressed
        ("bayer_rggb8; png compressed ", "bgr"),
        ("yuv422; jpeg compressed bgr8", "bgr"),
        ("mono8; jpeg compressed ", "bgr"),
        ("rgb8; jpeg compressed rgb8", "rgb"),  # stored without a conversion
        ("rgb8; png compressed ", "rgb"),
        ("bgr8; png compressed rgb8", "rgb"),
    ],
)
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_colours_have_the_order_that_image_transport_reads(name: str, order: str, kind: str) -> None:
    """Its own reader takes the file of a colour encoding as RGB unless "compressed bgr" follows."""
    stored = SCENE if order == "bgr" else SCENE[..., ::-1]
    data = encode(kind, stored, cv2.IMWRITE_JPEG_QUALITY, 100)
    image, found = decode_compressed(data, name)
    assert found == f"{order}8" and image.shape == SCENE.shape
    expected = cv2.cvtColor(SCENE, cv2.COLOR_BGR2GRAY).astype(float)
    assert np.abs(decode_gray(data, name) - expected).mean() < 2
    assert np.abs(to_gray(image.data, 48, 64, found, image.strides[0]) - expected).mean() < 2


def test_what_a_file_holds_names_its_encoding() -> None:
    gray, deep = SCENE[..., 0], SCENE.astype(np.uint16) * 257
    alpha = np.dstack([SCENE, gray])
    for image, name, expected in (
        (gray, "jpeg", "mono8"),
        (gray, "mono8; png compressed ", "mono8"),
        (gray, "rgb8; png compressed bgr8", "mono8"),
        (gray, "8UC1; png compressed ", "mono8"),
        (deep[..., 0], "mono16; png compressed ", "mono16"),
        (deep[..., 0], "png", "mono16"),
        (gray, "mono16; png compressed ", "mono8"),
        (deep, "rgb16; png compressed bgr16", "bgr16"),
        (alpha, "bgra8; png compressed bgr8", "bgra8"),
        (alpha, "png", "bgra8"),
    ):
        decoded, found = decode_compressed(encode("png", image), name)
        assert found == expected
        np.testing.assert_array_equal(decoded, image)
        assert decode_gray(encode("png", image), name).shape == gray.shape


@pytest.mark.parametrize(
    "name", ["16UC1; compressedDepth", "compressedDepth", "32FC1; compressedDepth png", "16uc1; CompressedDepth rvl"]
)
def test_compressed_depth_is_refused(name: str) -> None:
    for read in (decode_compressed, decode_gray):
        with pytest.raises(ValueError, match="which is depth: remap to the topic"):
            read(encode("png", SCENE[..., 0]), name)


@pytest.mark.parametrize(
    "name", ["mono16; jpeg compressed ", "bayer_rggb16; jpeg compressed ", "16UC1; jpeg compressed "]
)
def test_sixteen_bits_that_jpeg_cut_off_are_refused(name: str) -> None:
    """image_transport stores the values above 255 as 255."""
    for read in (decode_compressed, decode_gray):
        with pytest.raises(
            ValueError, match="JPEG does not keep values above 255, so set the publisher's format to png"
        ):
            read(encode("jpg", SCENE[..., 0]), name)


@given(st.sampled_from(["jpg", "png"]), st.data())
def test_damaged_bytes_raise_nothing_else(kind: str, data: st.DataObject) -> None:
    image = bytearray(encode(kind, np.arange(600, dtype=np.uint8).reshape(20, 30)))
    for place in data.draw(st.lists(st.integers(0, len(image) - 1), max_size=5)):
        image[place] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_gray(bytes(image))
    except ValueError:
        return
    assert decoded.ndim == 2 and decoded.dtype == np.uint8
