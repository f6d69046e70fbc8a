"""The command, on photographs that come with scikit-image."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import skimage.data
from vocabulary_readers import DBoW2Tree, l1_score

from silk_ros.backends.model import sha256
from silk_ros.binary import METADATA_KEY, binary_code
from silk_ros.paths import default_model
from silk_ros.vocabulary import code_digest
from silk_ros.vocabulary_files import read_vocabulary, vocabulary_path, write_vocabulary
from training.photos import Photos
from training.vocabulary import CodesOfImages, codes_of_photos, gray_photo, main, similarities

NAMES = ("astronaut", "brick", "camera", "coffee", "coins", "gravel")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of 240x320 pixels."""
    root = tmp_path_factory.mktemp("photographs")
    for name in NAMES:
        image = getattr(skimage.data, name)()
        cv2.imwrite(str(root / f"{name}.png"), image[:240, :320])
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(default_model(), tmp_path_factory.mktemp("model") / "own.onnx"))


@pytest.fixture(scope="module")
def codes_of(model: Path) -> CodesOfImages:
    return CodesOfImages(model)


@pytest.fixture
def trained(model: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command printed."""
    assert main([str(model), "--images", str(folder), "--nodes", "600"]) == 0
    return capsys.readouterr().out


def test_the_command_writes_beside_the_model_and_records_the_code(trained: str, model: Path) -> None:
    path = vocabulary_path(model)
    vocabulary = read_vocabulary(path)
    assert vocabulary.code_digest == code_digest(binary_code(model))
    assert 500 < len(vocabulary.parents) <= 600
    assert f"sha256 {sha256(path)}" in trained and f"sha256 {vocabulary.code_digest}" in trained
    assert f"{len(vocabulary.parents)} nodes, {vocabulary.is_word.sum()} words" in trained
    assert "6,000 codes of 3 photographs" in trained and "3 held-out photographs" in trained
    before = path.read_bytes()
    assert main([str(model), "--images", str(model.parent / "nothing")]) == 1
    assert path.read_bytes() == before


def test_a_view_is_more_similar_to_its_photograph_than_all_others(folder: Path, tmp_path: Path) -> None:
    vocabulary, codes_of = read_vocabulary(vocabulary_path(default_model())), CodesOfImages(default_model())
    table = similarities(vocabulary, codes_of, Photos.from_sources({str(folder): 1.0}), seed=0)
    assert table.shape == (len(NAMES), len(NAMES))
    others = ~np.eye(len(NAMES), dtype=bool)
    assert np.diag(table).min() > table[others].max()

    # The same by the rules of DBoW2, for two overlapping parts of each photograph.
    write_vocabulary(vocabulary, tmp_path / "voc.txt")
    tree = DBoW2Tree.read(tmp_path / "voc.txt")
    first, second = [], []
    for photo in sorted(folder.iterdir())[:3]:
        image = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
        for part, bags in ((image[:200, :260], first), (image[40:, 60:], second)):
            bags.append(tree.bag_of_words(codes_of(np.ascontiguousarray(part))))
    scores = np.array([[l1_score(a, b) for b in second] for a in first])
    assert np.diag(scores).min() > scores[others[:3, :3]].max()


def test_a_weight_is_the_share_of_the_codes_that_a_photograph_gives(
    folder: Path, codes_of: CodesOfImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((codes_of.min_size - 1, 100), np.uint8))
    weights = {f"{folder}/brick.png": 4.0, f"{folder}/camera.png": 1.0, f"{folder}/coins.png": 0.0}
    photos = Photos.from_sources(weights | {str(tmp_path): 1.0})
    with caplog.at_level(logging.WARNING):
        codes, numbers = codes_of_photos(codes_of, photos, seed=0)
    given = {Path(photos.names[number]).stem: int(np.sum(numbers == number)) for number in np.unique(numbers)}
    assert given == {"brick": 2000, "camera": 500}
    assert f"left out 1 of the photographs: a side is below {codes_of.min_size} pixels" in caplog.text
    camera = next(index for index, name in enumerate(photos.names) if "camera" in name)
    possible = {row.tobytes() for row in codes_of(gray_photo(photos, camera))}
    assert {row.tobytes() for row in codes[numbers == camera]} <= possible


def test_photographs_without_keypoints_are_refused(codes_of: CodesOfImages, folder: Path, tmp_path: Path) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((20, 20), np.uint8))
    photos = Photos.from_sources({str(tmp_path): 1.0, f"{folder}/brick.png": 1.0})
    with pytest.raises(ValueError, match="fewer than two photographs have keypoints: give --images more of them"):
        codes_of_photos(codes_of, photos, seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "0"], "--nodes must be at least 1"),
        (["--seed", "-1"], "--seed at least 0"),
        (["--output", "nowhere/voc.txt.gz"], "no folder 'nowhere'"),
        (["--output", "voc.yml"], "no suffix of a vocabulary"),
        (["--images", "nothing"], "no source 'nothing'"),
        (["--images", "{folder}/brick.png"], "at least 4 images"),
        (["--nodes", "50"], "above level 2"),
    ],
)
def test_bad_input_is_one_line_that_names_the_fix(
    model: Path, folder: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = shutil.copy(model, tmp_path / "own.onnx")
    given = [argument.format(folder=folder) for argument in arguments]
    assert main([str(own), "--images", str(folder), *given]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("vocabulary: ") and message in error[-1]
    assert not vocabulary_path(Path(own)).exists()


def test_a_model_without_a_code_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = onnx.load(default_model())
    kept = [entry for entry in network.metadata_props if entry.key != METADATA_KEY]
    del network.metadata_props[:]
    network.metadata_props.extend(kept)
    onnx.save(network, tmp_path / "own.onnx")
    assert main([str(tmp_path / "own.onnx"), "--images", str(folder)]) == 1
    assert "has no binary code: train one with python -m training.binary" in capsys.readouterr().err
