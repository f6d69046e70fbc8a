"""The files that make a recording: folders, split and compressed ones, and those that are missing."""

from __future__ import annotations

import gc
import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from recorded import COUNT, FORMATS, data_file, image_message, images_on, infos_on, read, write, write_mcap

from silk_ros.images.bag import BagSource
from silk_ros.images.sources import open_source
from silk_ros.images.storage.names import are_parts, is_recording

ROS2_FORMATS = pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
SPECIAL = "#1 50% full? ü"


def split_recording(folder: Path, storage: str) -> Path:
    """A recording in three files, with a metadata.yaml that names them; file 10 comes before file 2 by name."""
    folder.mkdir()
    messages = [[*images_on()[:4], *infos_on()[:4]], images_on()[4:7], images_on()[7:]]
    names = []
    for index, part in zip((1, 2, 10), messages):
        file = data_file(write(folder.with_name(f"{folder.name}-{index}"), part, storage))
        names.append(f"part_{index}{file.suffix}")
        shutil.copy(file, folder / names[-1])
    lines = ["rosbag2_bagfile_information:", "  relative_file_paths:", *(f"    - {name}" for name in names)]
    (folder / "metadata.yaml").write_text("\n".join(lines))
    return folder


def compress(path: Path, share: float = 1.0) -> Path:
    """Replace a file by a compressed one, or by the first part of it."""
    data = zstandard.ZstdCompressor().compress(path.read_bytes())
    path.unlink()
    packed = path.with_name(f"{path.name}.zstd")
    packed.write_bytes(data[: int(len(data) * share)])
    return packed


def write_noise(folder: Path, storage: str) -> Path:
    """A file of large images that cannot be compressed, each of which is read alone."""
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, 200, 300), np.uint8)
    messages = [("/image_raw", index, image_message(index, pixels=pixels)) for index, pixels in enumerate(noise)]
    if storage == "mcap":
        return write_mcap(folder / "a.mcap", messages, use_chunking=False)
    return data_file(write(folder / "bag", messages, storage))


@ROS2_FORMATS
def test_a_split_recording_is_one(tmp_path: Path, storage: str) -> None:
    images = list(BagSource(split_recording(tmp_path / "bag", storage)))
    assert len(images) == COUNT and all(image.camera is not None for image in images)
    assert read(tmp_path / "bag") == list(range(COUNT))


@ROS2_FORMATS
def test_one_file_of_a_recording_is_that_file(tmp_path: Path, storage: str) -> None:
    suffix = data_file(split_recording(tmp_path / "bag", storage)).suffix
    assert len(list(open_source(str(tmp_path / "bag" / f"part_2{suffix}")))) == 3


@ROS2_FORMATS
@pytest.mark.parametrize("metadata", [None, "not: [a, recording", "rosbag2_bagfile_information: 5", "\xff"])
def test_the_metadata_are_not_needed(
    tmp_path: Path, storage: str, metadata: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    bag = write(tmp_path / "bag", images_on(), storage)
    (bag / "metadata.yaml").unlink()
    if metadata is not None:
        (bag / "metadata.yaml").write_text(metadata, encoding="latin-1")
    assert len(list(open_source(str(bag)))) == COUNT
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (metadata is not None)
    assert all("is damaged and not used: ros2 bag reindex" in warning for warning in warnings)


@ROS2_FORMATS
def test_a_missing_file_is_named(tmp_path: Path, storage: str, caplog: pytest.LogCaptureFixture) -> None:
    bag = split_recording(tmp_path / "bag", storage)
    missing = next(bag.glob("part_2.*"))
    missing.unlink()
    assert read(bag) == [0, 1, 2, 3, 7, 8, 9]
    assert f"names {missing.name}, which is missing: its images are lost" in caplog.messages[0]


@ROS2_FORMATS
def test_a_file_that_cannot_be_read_costs_its_own_images(
    tmp_path: Path, storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    bag = split_recording(tmp_path / "bag", storage)
    next(bag.glob("part_2.*")).write_bytes(b"")
    assert read(bag) == [0, 1, 2, 3, 7, 8, 9]
    assert "is left out, and its images with it: cannot read the recording" in caplog.messages[0]


def test_hidden_files_are_skipped(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", images_on())
    (bag / f"._{data_file(bag).name}").write_bytes(b"of another system")
    assert read(bag) == list(range(COUNT))


@pytest.mark.parametrize("storage", FORMATS)
@pytest.mark.parametrize("whole", [True, False])
def test_special_characters_of_a_path_are_plain(tmp_path: Path, storage: str, whole: bool) -> None:
    written = write(tmp_path / "bag", images_on(), storage)
    bag = written.rename(written.with_name(f"{SPECIAL}{written.suffix}"))
    if bag.is_dir():
        file = data_file(bag)
        file.rename(bag / f"{SPECIAL}{file.suffix}")
    assert read(bag if whole else data_file(bag)) == list(range(COUNT))


@ROS2_FORMATS
def test_a_compressed_file_is_read_and_leaves_nothing(
    tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    caplog.set_level(logging.INFO)
    bag = write(tmp_path / "bag", images_on(), storage)
    packed = compress(data_file(bag))
    before = sorted(bag.iterdir())
    for path in (bag, packed):
        assert is_recording(path) and read(path) == list(range(COUNT))
        assert "decompressing" in caplog.text
        gc.collect()
        assert not list(temporary.iterdir()) and sorted(bag.iterdir()) == before


def test_a_decompressed_file_replaces_the_compressed_one(tmp_path: Path) -> None:
    """Players of rosbag2 leave it in the folder."""
    bag = write(tmp_path / "bag", images_on())
    plain = data_file(bag).read_bytes()
    compress(data_file(bag)).with_suffix("").write_bytes(plain)
    assert read(bag) == list(range(COUNT))


def test_what_is_whole_of_a_compressed_file_that_was_cut_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packed = compress(write_noise(tmp_path, "mcap"), share=0.6)
    assert 3 < len(list(BagSource(packed))) < 7
    assert "was cut or is damaged" in caplog.text


def test_damage_to_a_compressed_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    packed = compress(write_mcap(tmp_path / "a.mcap", images_on()))
    packed.write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match=r"a.mcap.zstd' \(its compression is damaged: .*\): copy the file again"):
        BagSource(packed)


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "a.bag"])
def test_errors_of_a_compressed_file_name_that_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no recording" * 10)
    packed = compress(tmp_path / name)
    with pytest.raises(ValueError, match=rf"cannot read the recording '{packed}' \(it is no") as error:
        BagSource(packed)
    assert "silk_ros_" not in str(error.value)


@pytest.mark.parametrize("storage", FORMATS)
def test_a_remedy_decompresses_first(tmp_path: Path, storage: str, caplog: pytest.LogCaptureFixture) -> None:
    file = write_noise(tmp_path, storage)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.6)])
    packed = compress(file)
    text = ""
    try:
        list(BagSource(packed))
    except ValueError as error:
        text = str(error)
    assert f"mend it with: zstd -dc {packed} > ~/{file.name}; " in text + caplog.text
    assert "silk_ros_" not in text + caplog.text


@ROS2_FORMATS
@pytest.mark.parametrize("frames", [1, 3])
def test_a_compressed_file_that_was_cut_is_said(
    tmp_path: Path, storage: str, frames: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_noise(tmp_path, storage)
    data = file.read_bytes()
    size = len(data) // frames + 1
    packed = file.with_name(f"{file.name}.zstd")
    whole = b"".join(zstandard.compress(data[start : start + size]) for start in range(0, len(data), size))
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"  # a frame without contents
    packed.write_bytes(skipped + whole)
    assert len(list(BagSource(packed))) == COUNT and not caplog.messages
    packed.write_bytes(whole[: int(len(whole) * 0.8)])
    assert 3 < len(list(BagSource(packed))) < COUNT
    assert caplog.messages[0].startswith(f"of '{packed}' only what is whole is read (it was cut): copy the file again")


# Files that do not belong to the recording.


@ROS2_FORMATS
@pytest.mark.parametrize("packed", [False, True])
def test_only_the_files_that_the_metadata_name_are_read(
    tmp_path: Path, storage: str, packed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bag = write(tmp_path / "bag", images_on(), storage)
    file = data_file(bag)
    mended = shutil.copy(file, bag / f"mended{file.suffix}")
    if packed:
        compress(file)
    assert read(bag) == list(range(COUNT))
    assert f"does not name {mended.name}, which is not read: give a file by its path" in caplog.text


@pytest.mark.parametrize("metadata", ["damaged", "none"])
def test_files_that_may_not_belong_together_are_named(tmp_path: Path, metadata: str) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    for name in ("run1", "run2"):
        write_mcap(bag / f"{name}.mcap", images_on())
    if metadata == "damaged":
        (bag / "metadata.yaml").write_text("[")
    text = "all files of the folder are read as one recording: run1.mcap, run2.mcap; give one of them to read it alone"
    assert all(BagSource(bag, topic).about.startswith(f"{text}; the images are") for topic in ("", "/image_raw"))
    assert BagSource(bag / "run1.mcap").about == "the images are those of /image_raw"


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (["a_0.mcap", "a_1.mcap", "a_10.mcap"], True),
        (["a_2026-01-02-10-00-00_0.bag", "a_2026-01-02-10-05-00_1.bag"], True),
        (["a_0.db3.zstd", "a_1.db3"], True),
        (["a_0.bag", "a_1.bag.active"], True),
        (["a_0.mcap", "b_1.mcap"], False),
        (["a_0.mcap", "a_00.mcap"], False),
        (["a_0.mcap", "mended.mcap"], False),
        (["run1.mcap", "run2.mcap"], False),
        (["a_2026-01-02-10-00-00.bag", "a_2026-01-02-10-05-00.bag"], False),
    ],
)
def test_parts_of_a_recording_are_known_by_their_names(names: list[str], alike: bool) -> None:
    assert are_parts([Path(name) for name in names]) == alike


def test_parts_without_metadata_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bag = split_recording(tmp_path / "bag", "mcap")
    (bag / "metadata.yaml").unlink()
    assert BagSource(bag).about == "the images are those of /image_raw"
    assert "are read as parts of one recording: part_1.mcap, part_10.mcap, part_2.mcap" in caplog.text


def test_a_file_that_was_renamed_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bag = write(tmp_path / "bag", images_on())
    data_file(bag).rename(bag / "renamed.mcap")
    assert read(bag) == list(range(COUNT)) and "names bag.mcap, which is missing" in caplog.text


def test_recordings_of_several_formats_are_not_mixed(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", images_on())
    shutil.copy(data_file(write(tmp_path / "other", images_on(), "sqlite3")), bag)
    (bag / "metadata.yaml").unlink()
    with pytest.raises(ValueError, match=r"several formats: give one of bag.mcap, other.db3$"):
        BagSource(bag)


def test_a_folder_without_its_files_is_explained(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", images_on())
    data_file(bag).unlink()
    with pytest.raises(ValueError, match=r"holds no .mcap, .db3 or .bag file: copy them into the folder"):
        open_source(str(bag))


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "a.bag"])
def test_a_file_that_may_not_be_read_is_explained(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(b"x")

    def refuse(self: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OSError, match=rf"Permission denied: .*{name}"):
        BagSource(tmp_path / name)
