from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from silk_ros import Extractor, Features
from silk_ros.evaluation import pairs as pairs_module
from silk_ros.evaluation.pairs import FRAME_GAP, PairSource, epipolar_inliers, frame_pairs, read_gray_frames, read_pairs

Image = NDArray[np.uint8]


def test_sequences_with_homographies_are_pairs_in_one_round(tmp_path: Path, photo: Image) -> None:
    folder = tmp_path / "hpatches" / "wall"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.png"), photo[:-8, :-16])
    cv2.imwrite(str(folder / "2.png"), photo[8:, 16:])
    np.savetxt(folder / "H_1_2", [[1, 0, -16], [0, 1, -8], [0, 0, 1]])
    pairs = read_pairs(str(folder.parent))
    assert len(pairs) == 1 and pairs[0].homography is not None
    assert PairSource.open(str(folder.parent)).counts == (1,)


@pytest.mark.parametrize(
    ("count", "counts"), [(6, (1,)), (28, (20, 3)), (150, (20, 20, 40, 65)), (10_000, (20, 20, 40, 80))]
)
def test_frames_are_paired_in_rounds_that_double_their_number(
    count: int, counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frame(NamedTuple):
        index: int

        def gray(self) -> Image:
            return np.full((1, 1), self.index, np.uint16)

    monkeypatch.setattr(pairs_module, "open_recorded", lambda *_: [Frame(index) for index in range(count)])
    source = PairSource.open("drive.mp4")
    assert (source.images, source.counts) == (count, counts)
    starts = [[int(pair.first[0, 0]) for pair in pairs] for pairs in source]
    assert tuple(map(len, starts)) == counts
    flat = [start for each in starts for start in each]
    assert len(set(flat)) == len(flat), "no pair twice"
    assert min(flat) < count / 10 + 1 and max(flat) >= 0.9 * (count - FRAME_GAP) - 1, "spread over all frames"
    assert starts[0] == [int(pair.first[0, 0]) for pair in read_pairs("drive.mp4")]


def test_frames_are_paired_across_the_gap() -> None:
    stream = (np.full((2, 2), index, np.uint8) for index in range(9))
    pairs = frame_pairs(stream, [0, 3, 5], gap=3)
    assert [(pair.first[0, 0], pair.second[0, 0]) for pair in pairs] == [(0, 3), (3, 6), (5, 8)]


def test_photographs_may_lie_in_sub_folders_and_some_may_be_broken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for level, name in ((10, "b/1.png"), (20, "a/2.png"), (30, "a/.hidden.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((4, 4), level, np.uint8))
    assert [int(frame[0, 0]) for frame in read_gray_frames(str(tmp_path))] == [20, 10]
    (tmp_path / "b" / "1.png").write_bytes(b"broken")
    assert [int(frame[0, 0]) for frame in read_gray_frames(str(tmp_path))] == [20]
    assert "1.png" in caplog.messages[0] and "1 was left out" in caplog.messages[1]
    (tmp_path / "a" / "2.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"no image of .* can be used: .*png"):
        list(read_gray_frames(str(tmp_path)))


def test_a_camera_is_no_source_of_frames() -> None:
    with pytest.raises(ValueError, match="record it first"):
        list(read_gray_frames("0"))


def test_matches_of_one_moving_view_agree_with_its_epipolar_geometry(photo: Image) -> None:
    extractor = Extractor.load(max_keypoints=200, precision="fp32")
    a, b = (extractor(np.ascontiguousarray(image)) for image in (photo[:-8, :-16], photo[8:, 16:]))
    inliers = epipolar_inliers(a, b)
    assert len(inliers) > 50 and inliers.mean() > 0.9
    none = Features(np.empty((0, 2)), np.empty(0), np.empty((0, a.descriptors.shape[1])))
    assert len(epipolar_inliers(none, b)) == 0
