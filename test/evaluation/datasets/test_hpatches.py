from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.evaluation.datasets.hpatches import find_sequences
from silk_ros.evaluation.options import DatasetError


def write_sequence(folder: Path, homographies: dict[int, np.ndarray], suffix: str = ".png") -> Path:
    """Images 1 to n, each of the grey level 10 times its number, 80x40."""
    folder.mkdir(parents=True)
    for number in (1, *homographies):
        cv2.imwrite(str(folder / f"{number}{suffix}"), np.full((40, 80, 3), 10 * number, np.uint8))
    for number, homography in homographies.items():
        np.savetxt(folder / f"H_1_{number}", homography)
    return folder


def test_sequences_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    shift = np.array([[1, 0, 4], [0, 1, 0], [0, 0, 1.0]])
    write_sequence(tmp_path / "v_wall", {10: np.eye(3), 2: shift}, ".ppm")
    (tmp_path / "notes").mkdir()
    (sequence,) = find_sequences(tmp_path, shorter_edge=40)
    image, views = sequence.read()
    assert (sequence.name, len(sequence), image.shape) == ("v_wall", 2, (40, 80)) and (image == 10).all()
    second, tenth = views
    assert (second.number, tenth.number) == (2, 10)
    assert (second.image == 20).all() and (tenth.image == 100).all()
    np.testing.assert_allclose(second.homography, shift)


def test_hpatches_prefixes_are_groups_and_other_sequences_their_own(tmp_path: Path) -> None:
    for name in ("v_b", "i_a", "boat"):
        write_sequence(tmp_path / name, {2: np.eye(3)})
    groups = {sequence.name: sequence.group for sequence in find_sequences(tmp_path)}
    assert groups == {"boat": "boat", "i_a": "illumination", "v_b": "viewpoint"}
    assert [sequence.name for sequence in find_sequences(tmp_path, skip=["boat", "v_b"])] == ["i_a"]


def test_homographies_follow_the_resizing_by_pixel_centres(tmp_path: Path) -> None:
    write_sequence(tmp_path / "zoom", {2: np.diag([2.0, 2, 1])})
    (sequence,) = find_sequences(tmp_path, shorter_edge=20)
    image, views = sequence.read()
    assert image.shape == (20, 40)
    # x at half size is 2 x + 0.5 at full size, twice that 4 x + 1, and at half size again 2 x + 0.25.
    np.testing.assert_allclose(next(views).homography, [[2, 0, 0.25], [0, 2, 0.25], [0, 0, 1]], atol=1e-12)


def no_folder(root: Path) -> None:
    (root / "a").rename(root.parent / "elsewhere")
    root.rmdir()


def no_sequences(root: Path) -> None:
    (root / "a" / "H_1_2").unlink()


def no_first_image(root: Path) -> None:
    (root / "a" / "1.png").unlink()


def no_second_image(root: Path) -> None:
    (root / "a" / "2.png").unlink()


def words(root: Path) -> None:
    (root / "a" / "H_1_2").write_text("1 0 0\n0 one 0\n0 0 1\n")


def two_rows(root: Path) -> None:
    (root / "a" / "H_1_2").write_text("1 0 0\n0 1 0\n")


def ragged(root: Path) -> None:
    (root / "a" / "H_1_2").write_text("1 0 0\n0 1\n0 0 1\n")


def singular(root: Path) -> None:
    (root / "a" / "H_1_2").write_text("1 0 0\n0 1 0\n1 0 0\n")


def binary(root: Path) -> None:
    (root / "a" / "H_1_2").write_bytes(bytes(range(128, 256)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_folder, r"no folder '.*data': it should hold a folder per sequence"),
        (no_sequences, r"no sequences in '.*data': it should hold a folder per sequence"),
        (no_first_image, r"no image '.*a/1\.png'.*H_1_2"),
        (no_second_image, r"no image '.*a/2\.png'.*H_1_2"),
        (words, r"a/H_1_2' is not a homography"),
        (two_rows, r"a/H_1_2' is not a homography \(.* has 6 numbers: write 3 rows of 3\): write 3 rows of 3 numbers"),
        (ragged, r"a/H_1_2' is not a homography"),
        (singular, r"a/H_1_2' is not an invertible homography"),
        (binary, r"a/H_1_2' is not a homography"),
    ],
)
def test_what_is_wrong_with_the_data_is_said_at_once(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    root = tmp_path / "data"
    write_sequence(root / "a", {2: np.eye(3)})
    spoil(root)
    with pytest.raises(DatasetError, match=message):
        find_sequences(root)


def test_an_unreadable_image_is_named_when_its_turn_comes(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "a", {2: np.eye(3), 3: np.eye(3)})
    (folder / "3.png").write_bytes(b"not an image")
    (sequence,) = find_sequences(tmp_path)
    _, views = sequence.read()
    assert next(views).number == 2
    with pytest.raises(DatasetError, match=r"cannot read the image '.*a/3\.png'"):
        next(views)


def test_sequences_to_skip_must_exist_and_leave_some(tmp_path: Path) -> None:
    write_sequence(tmp_path / "a", {2: np.eye(3)})
    with pytest.raises(DatasetError, match=r"no sequence 'b' to skip in '.*': it has a"):
        find_sequences(tmp_path, skip=["b"])
    with pytest.raises(DatasetError, match="leave one"):
        find_sequences(tmp_path, skip=["a"])
