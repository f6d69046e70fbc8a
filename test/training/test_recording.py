from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from silk_ros import Extractor
from silk_ros.evaluation.pairs import Pair
from training import finetune
from training.export import export_model
from training.finetune import GAP, Quality, matching_quality, read_recording

COUNT = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(COUNT):
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), np.full((16, 16), index, np.uint8))
    return tmp_path


def levels(frames: list[np.ndarray]) -> list[int]:
    return [int(frame[0, 0]) for frame in frames]


def test_the_last_part_is_only_judged_by(folder: Path) -> None:
    trained, pairs = read_recording(str(folder), hold_out=0.5)
    assert levels(trained) == list(range(COUNT // 2))
    firsts, seconds = (levels(list(frames)) for frames in zip(*((pair.first, pair.second) for pair in pairs)))
    assert min(firsts) >= COUNT // 2
    assert [second - first for first, second in zip(firsts, seconds)] == [GAP] * len(firsts)
    assert max(seconds) == COUNT - 1


def test_long_recordings_are_thinned_evenly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "MAX_FRAMES", 5)
    monkeypatch.setattr(finetune, "PAIRS", 3)
    trained, pairs = read_recording(str(folder), hold_out=0.25)
    assert len(trained) == 5 and len(pairs) == 3
    assert levels(trained)[0] == 0 and levels(trained)[-1] == 29
    assert np.ptp(np.diff(levels(trained))) <= 1


@pytest.mark.parametrize(
    ("hold_out", "message"), [(0.1, "too few"), (0.0, "between 0 and 1"), (1.0, "between 0 and 1")]
)
def test_too_little_to_judge_by_is_refused(folder: Path, hold_out: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_recording(str(folder), hold_out)


def test_quality_counts_matches_that_agree_with_one_geometry(
    tmp_path: Path, random_network: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "network.onnx"
    export_model(random_network("vggnp-mu"), path, {})
    photo = skimage.data.camera()
    shifted = photo[100:220, 110:270], photo[104:224, 100:260]
    unrelated = photo[100:220, 110:270], np.random.default_rng(0).integers(0, 256, (120, 160), dtype=np.uint8)
    good, bad = (
        matching_quality(Extractor.load(path, max_keypoints=300), [Pair(*pair)], "") for pair in (shifted, unrelated)
    )
    assert good.matches > 100 and good.share > 0.9
    assert bad.share < 0.5
    assert Quality(0.0, 0.0).share == 0.0
