from __future__ import annotations

import base64
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor, match
from silk_ros.binary import BITS, METADATA_KEY, BinaryCode, binary_code, hamming_match, unit_vectors
from silk_ros.paths import default_model

Codes = NDArray[np.uint8]


def random_code(dim: int = 4, seed: int = 0) -> BinaryCode:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(dim + 2, BITS)).astype(np.float16).astype(np.float32)  # as a file holds them
    return BinaryCode(values[:-2], np.sort(values[-2:], axis=0))


def random_codes(count: int, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (count, BITS // 8), np.uint8)


def distances(a: Codes, b: Codes) -> NDArray[np.int64]:
    return np.unpackbits(a[:, None] ^ b[None], axis=2).sum(axis=2, dtype=np.int64)


def with_bits(*set_bits: int) -> Codes:
    """One code, of which only these bits are set."""
    bits = np.zeros(BITS, np.uint8)
    bits[list(set_bits)] = 1
    return np.packbits(bits)[None]


def test_the_first_bit_is_the_highest_of_the_first_byte() -> None:
    projection = np.zeros((2, BITS), np.float32)
    projection[0, 0] = projection[1, 9] = 1  # bit 0 is d[0] > .5, bit 9 is d[1] > .5; the others 0 > .5
    code = BinaryCode(projection, np.repeat([[0.5], [1]], BITS, axis=1))
    encoded = code.encode(np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32))
    assert encoded.dtype == np.uint8 and encoded.shape == (3, 32)
    assert encoded[:, :3].tolist() == [[128, 0, 0], [0, 64, 0], [0, 0, 0]] and not encoded[:, 2:].any()
    assert code.encode(np.empty((0, 2), np.float32)).shape == (0, 32)


def test_a_bit_is_set_between_its_thresholds() -> None:
    code = BinaryCode(np.ones((1, BITS)), np.repeat([[-0.5], [0.5]], BITS, axis=1))
    encoded = code.encode(np.array([[-0.6], [-0.5], [0], [0.5], [0.6]], np.float32))
    assert encoded[:, 0].tolist() == [0, 0, 255, 255, 0]


@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 4, 1)])
def test_descriptors_of_another_model_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes descriptors \(N, 4\), not .* use the code of the model"):
        random_code().encode(np.zeros(shape, np.float32))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (40, 70), (300, 257)])
def test_mutual_nearest_neighbours_by_hamming_distance(rows: int, columns: int) -> None:
    a, b = random_codes(rows, 0), random_codes(columns, 1)
    table = distances(a, b)
    matches = hamming_match(a, b)
    nearest = table.argmin(axis=1)  # the first of equal ones
    expected, taken = [], set()
    for row, column in enumerate(nearest.tolist()):
        if table[row, column] == table[:, column].min() and column not in taken:
            expected.append([row, column])
            taken.add(column)
    assert matches.indices.tolist() == expected
    np.testing.assert_array_equal(matches.similarity, 1 - table[tuple(matches.indices.T)] / 128)


def test_equal_distances_go_to_the_first() -> None:
    one, two, three = with_bits(0), with_bits(1), with_bits(2)
    zero = with_bits()
    # Every distance is 1: row 0 takes column 0, and so would row 1, which then has none.
    assert hamming_match(np.vstack([zero, zero]), np.vstack([one, two, three])).indices.tolist() == [[0, 0]]
    # Equal codes on both sides.
    assert hamming_match(np.vstack([one] * 3), np.vstack([one] * 2)).indices.tolist() == [[0, 0]]


def test_opencv_finds_the_same_where_nothing_is_equal() -> None:
    a = random_codes(200, 0)
    b = a[::-1].copy()
    b[:, 0] ^= 1  # one bit of each
    found = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(a, b)
    matches = hamming_match(a, b)
    assert sorted((m.queryIdx, m.trainIdx) for m in found) == [tuple(pair) for pair in matches.indices.tolist()]
    np.testing.assert_array_equal(matches.similarity, np.float32(127 / 128))


@pytest.mark.parametrize(("limit", "kept"), [(0, 1), (1, 2), (2, 2), (3, 3), (256, 4), (None, 4)])
def test_max_distance_is_in_bits_and_included(limit: float | None, kept: int) -> None:
    b = np.vstack([with_bits(*range(64 * k, 64 * k + 40)) for k in range(4)])
    a = b.copy()
    a[1, 31] ^= 1
    a[2, 31] ^= 7
    a[3, 0] ^= 255
    assert len(hamming_match(a, b, limit)) == kept


def test_opposite_codes_have_similarity_minus_one() -> None:
    code = random_codes(1, 0)
    assert hamming_match(code, ~code).similarity.tolist() == [-1]
    assert hamming_match(code, code).similarity.tolist() == [1]


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 3), (3, 0)])
def test_no_codes_no_matches(rows: int, columns: int) -> None:
    assert len(hamming_match(random_codes(rows, 0), random_codes(columns, 1))) == 0


def test_bad_codes_and_limits_are_refused() -> None:
    good = random_codes(2, 0)
    for bad in (good.astype(np.float32), good[:, :31], good[0]):
        with pytest.raises(ValueError, match=r"binary codes must be \(N, 32\) uint8"):
            hamming_match(good, bad)
    for limit in (-1, 257, float("nan")):
        with pytest.raises(ValueError, match="max_distance must be between 0 and 256"):
            hamming_match(good, good, limit)


def test_unit_vectors_have_unit_norm() -> None:
    np.testing.assert_array_equal(np.square(unit_vectors(random_codes(5, 0))).sum(axis=1), 1)


def test_the_code_survives_the_metadata() -> None:
    code = random_code()
    entry = code.to_metadata()
    back = BinaryCode.from_metadata(entry | {"descriptor_dim": "4"})
    assert back is not None and back.descriptor_dim == 4
    np.testing.assert_array_equal(back.projection, code.projection)
    np.testing.assert_array_equal(back.thresholds, code.thresholds)
    assert BinaryCode.from_metadata({"descriptor_dim": "4"}) is None


@pytest.mark.parametrize(
    ("entry", "dim", "message"),
    [
        ("no base64!", "4", "damaged"),
        ("ünicode", "4", "damaged"),
        (base64.b64encode(bytes(100)).decode(), "4", "has 100 bytes instead of the 3072"),
        (random_code().to_metadata()[METADATA_KEY], "5", "has 3072 bytes instead of the 3584"),
        (random_code().to_metadata()[METADATA_KEY], "-2", "instead of the 0"),
        (random_code().to_metadata()[METADATA_KEY], "many", "damaged"),
        (base64.b64encode(np.full(1536, np.nan, "<f2").tobytes()).decode(), "4", "must be finite"),
    ],
)
def test_damaged_metadata_are_a_clear_error(entry: str, dim: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BinaryCode.from_metadata({METADATA_KEY: entry, "descriptor_dim": dim})


def test_values_beyond_float16_are_not_stored() -> None:
    with pytest.raises(ValueError, match="within"):
        BinaryCode(np.full((4, BITS), 1e6, np.float32), np.zeros((2, BITS), np.float32)).to_metadata()


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="a binary code has a projection"):
        BinaryCode(np.zeros((4, 128), np.float32), np.zeros((2, 128), np.float32))


def test_the_shipped_network_and_its_int8_version_have_one_code() -> None:
    codes = [binary_code(path) for path in (default_model(), default_model().with_name("silk_vggnp_mu_int8.onnx"))]
    assert codes[0].to_metadata() == codes[1].to_metadata() and codes[0].descriptor_dim == 32


def test_the_shipped_code_keeps_neighbours_within_the_limits_of_orb_slam(photo: NDArray[np.uint8]) -> None:
    extract = Extractor.load(max_keypoints=1000, precision="fp32")
    a, b = extract(photo[:-4, :-4]), extract(photo[4:, 4:])
    code = binary_code(default_model())
    codes = code.encode(a.descriptors), code.encode(b.descriptors)
    wanted = {tuple(pair) for pair in match(a, b).indices.tolist()}
    found = {tuple(pair) for pair in hamming_match(*codes).indices.tolist()}
    assert len(wanted & found) > 0.8 * len(wanted)
    rows = np.array(sorted(wanted & found))
    bits = distances(*codes)
    apart = np.linalg.norm(a.keypoints[:, None] - b.keypoints - 4, axis=2)
    assert np.median(bits[rows[:, 0], rows[:, 1]]) <= 50
    assert np.median(np.where(apart > 4, bits, BITS).min(axis=1)) > 50


def test_a_model_without_a_code_says_how_to_train_one(tmp_path: Path) -> None:
    network = onnx.load(default_model())
    entries = {entry.key: entry.value for entry in network.metadata_props if entry.key != METADATA_KEY}
    onnx.helper.set_model_props(network, entries)
    onnx.save(network, tmp_path / "own.onnx")
    with pytest.raises(ValueError, match=r"own.onnx' has no binary code: train one with python -m training.binary .*"):
        binary_code(tmp_path / "own.onnx")
    onnx.helper.set_model_props(network, entries | {METADATA_KEY: "x"})
    onnx.save(network, tmp_path / "own.onnx")
    with pytest.raises(ValueError, match=r"own.onnx': .*damaged"):
        binary_code(tmp_path / "own.onnx")


def test_files_that_cannot_be_read_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model file at"):
        binary_code(tmp_path / "none.onnx")
    damaged = Path(shutil.copy(default_model(), tmp_path / "half.onnx"))
    damaged.write_bytes(damaged.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is not a usable ONNX file"):
        binary_code(damaged)
